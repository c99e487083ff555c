"""`gateway redact`: the redactor alone, in this process. Text in, redacted text out; or JSON lines in, spans out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TextIO

import orjson

from gateway.categories import PLACEHOLDER, Category
from gateway.redaction import lean
from gateway.redaction.findings import Finding
from gateway.redaction.home import folder
from gateway.redaction.plain import Plain

if TYPE_CHECKING:
    from gateway.redaction.explain import Explainer


class LineInvalid(ValueError):
    """A line is not what `--jsonl` asks for. The message names the line, never its text."""


def redact(lines: Iterable[str], out: TextIO, jsonl: bool, mappings: Mapping[str, Plain], explain: bool = False) -> int:
    """Redact what the lines hold and write it to `out`; return the number of findings.

    Plain: the lines are one text, and so is what comes out; to `explain` it writes a line for each
    finding instead: offsets, category, score, evidence, rule. JSON lines: one `{"id", "text"}` a line in,
    one `{"id", "spans"}` a line out, written as it is found; to `explain` each span says its rule and evidence.

    Raises:
        LineInvalid: a line is not such an object.
        RulesInvalid: the mappings are not rules.
        NotWorking: the rules do not find what they must.
    """
    lean.install()
    from gateway.redaction.engine import Engine  # noqa: PLC0415  # only after `lean.install`
    from gateway.redaction.explain import Explainer  # noqa: PLC0415
    from gateway.redaction.inprocess import InProcess  # noqa: PLC0415

    engine = Engine(mappings, where=folder())
    engine.test()
    find = InProcess(engine).look
    explainer = Explainer(engine.compiled) if explain else None
    if not jsonl:
        text = "".join(lines)
        findings = find(text)
        _write_plain(text, findings, out, explainer)
        return len(findings)
    total = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        identifier, text = _read(number, line)
        findings = find(text)
        out.write(orjson.dumps({"id": identifier, "spans": _spans(text, findings, explainer)}).decode() + "\n")
        total += len(findings)
    return total


def _write_plain(text: str, findings: list[Finding], out: TextIO, explainer: Explainer | None) -> None:
    if explainer is not None:
        for one in explainer.explain(text, findings):
            found = one.finding
            grown = f"  grown by {'+'.join(map(str, one.grown))} characters" if any(one.grown) else ""
            out.write(f"{found.start}-{found.end}  {found.score:.2f}  {one.evidence.value}  {one.rule}{grown}\n")
        return
    done = 0
    for finding in findings:
        # a value's own placeholder needs a tenant's key, and nobody's text is read here
        stand_in = PLACEHOLDER if isinstance(finding.category, Category) else f"[{finding.category}]"
        out.write(text[done : finding.start] + stand_in)
        done = finding.end
    out.write(text[done:])


def _spans(text: str, findings: list[Finding], explainer: Explainer | None) -> list[dict[str, str | int | float]]:
    if explainer is not None:
        return [one.shown() for one in explainer.explain(text, findings)]
    return [
        {"start": one.start, "end": one.end, "category": one.category.value, "score": round(one.score, 3)}
        for one in findings
    ]


def _read(number: int, line: str) -> tuple[str | int, str]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise LineInvalid(f"line {number} is not valid JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not isinstance(row.get("id"), str | int):
        raise LineInvalid(f'line {number} is not an object with an "id" and a "text"')
    return row["id"], row["text"]
