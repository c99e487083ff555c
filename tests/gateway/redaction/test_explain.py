"""Why something was found, told on request."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.redaction.command import redact
from gateway.redaction.engine import Engine
from gateway.redaction.explain import Evidence, Explainer
from gateway.redaction.inprocess import InProcess
from gateway.redaction.plain import Plain
from tests.configuration import CALLER, PURPOSE, TENANT, write_configuration
from tests.evaluate import rules

TEXT = "My brother is diabetic, and we wrote to\nhis husband."


def test_each_finding_names_its_rule_and_evidence(engine: Engine) -> None:
    """A term that counts because of a person is told from a phrase that reveals by itself."""
    findings = InProcess(engine).look(TEXT)

    told = Explainer(engine.compiled).explain(TEXT, findings)

    assert [one.finding for one in told] == findings
    assert [(TEXT[one.finding.start : one.finding.end], one.evidence) for one in told] == [
        ("is diabetic", Evidence.LINKED),
        ("his husband", Evidence.PHRASE),
    ]
    assert told[0].rule.startswith("HEALTH: ")
    assert told[1].rule.startswith("SEX_LIFE_ORIENTATION: ")


def test_an_operators_recogniser_is_named(few: dict[str, Plain]) -> None:
    """What an operator added says so."""
    few["HEALTH"] = {**few["HEALTH"], "presidio": [{"name": "Sites", "deny_list": ["ward seven"]}]}  # type: ignore[dict-item]
    engine = Engine(few)

    (told,) = Explainer(engine.compiled).explain("in Ward Seven", InProcess(engine).look("in Ward Seven"))

    assert (told.rule, told.evidence) == ("HEALTH: Sites", Evidence.OPERATOR)


def test_offsets_are_those_of_the_whole_text(engine: Engine) -> None:
    """Far into a long text, with characters that fold to none, the reason is still found."""
    text = "\u200bNothing here. " * 1000 + TEXT

    told = Explainer(engine.compiled).explain(text, InProcess(engine).look(text))

    assert [one.evidence for one in told] == [Evidence.LINKED, Evidence.PHRASE]


def test_redact_explains_in_lines_without_text() -> None:
    """Plain: a line a finding, and no word of what was found."""
    out = io.StringIO()

    assert redact([TEXT], out, False, rules(), explain=True) == 2

    first, second = out.getvalue().splitlines()
    assert first.startswith("11-22  0.")
    assert second.startswith("40-51  0.")
    assert "diabetic" not in out.getvalue()


def test_redact_explains_in_json_lines() -> None:
    """JSON lines: each span says its rule and evidence beside what it says anyway."""
    out = io.StringIO()

    redact([json.dumps({"id": 1, "text": TEXT})], out, True, rules(), explain=True)

    spans = json.loads(out.getvalue())["spans"]
    assert [span["evidence"] for span in spans] == ["linked term", "phrase"]
    assert spans[0].keys() == {"start", "end", "category", "score", "rule", "evidence"}


def test_try_explains_by_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run says where each finding stands, JSON inside a string included, and still shows what would leave."""
    config = write_configuration(tmp_path, 9, "sk-simulated", openai_models=["sim-model"])
    request = {
        "path": "/v1/chat/completions",
        "caller": CALLER,
        "headers": {"x-gateway-tenant": TENANT, "x-gateway-purpose": PURPOSE},
        "body": {
            "model": "sim-model",
            "messages": [
                {"role": "user", "content": TEXT},
                {"role": "tool", "tool_call_id": "c1", "content": '{"note": "my sister is HIV positive"}'},
            ],
        },
    }
    (tmp_path / "request.json").write_text(json.dumps(request), encoding="utf-8")

    assert main(["try", str(tmp_path / "request.json"), "--config", str(config)]) == 0

    verdict = json.loads(capsys.readouterr().out)
    places = [(one["where"], one.get("nested", 0), one["category"]) for one in verdict["findings"]]
    assert places == [
        ("messages[0].content", 0, "HEALTH"),
        ("messages[0].content", 0, "SEX_LIFE_ORIENTATION"),
        ("messages[1].content", 1, "HEALTH"),
    ]
    assert "diabetic" not in verdict["body"]
