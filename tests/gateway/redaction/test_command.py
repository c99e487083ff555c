"""The `redact` verb's body."""

from __future__ import annotations

import io
import json

import pytest

from gateway.redaction.command import LineInvalid, redact
from tests.evaluate import rules


def test_text_in_redacted_text_out() -> None:
    """Plain lines come out as they were, findings apart."""
    out = io.StringIO()

    found = redact(["They wrote to his\n", "husband today.\n", "Bye\n"], out, False, rules())

    assert out.getvalue() == "They wrote to [REDACTED] today.\nBye\n"
    assert found == 1


def test_json_lines_in_spans_out() -> None:
    """Each row is answered with its id and spans in code points; other keys are ignored, empty lines skipped."""
    out = io.StringIO()
    rows = [{"id": "a", "text": "\U0001f600 his husband", "lang": "en"}, {"id": 2, "text": "nothing"}]

    redact([json.dumps(rows[0]) + "\n", "\n", json.dumps(rows[1]) + "\n"], out, True, rules())

    first, second = map(json.loads, out.getvalue().splitlines())
    assert first == {"id": "a", "spans": [{"start": 2, "end": 13, "category": "SEX_LIFE_ORIENTATION", "score": 0.9}]}
    assert second == {"id": 2, "spans": []}


@pytest.mark.parametrize("line", ["{secret", '["secret"]', '{"text": "secret"}', '{"id": "a", "text": 1}'])
def test_a_bad_line_is_named_by_its_number(line: str) -> None:
    """The error says which line, and quotes nothing of it."""
    with pytest.raises(LineInvalid, match="line 2") as caught:
        redact(['{"id": 1, "text": "fine"}\n', line], io.StringIO(), True, rules())

    assert "secret" not in str(caught.value)
