"""`gateway redact`: the redactor alone, in this process. Text in, redacted text out; or JSON lines in, spans out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TextIO

import orjson

from gateway.categories import PLACEHOLDER
from gateway.redaction import lean
from gateway.redaction.findings import Finding
from gateway.redaction.plain import Plain
from gateway.redaction.segments import join, pieces


class LineInvalid(ValueError):
    """A line is not what `--jsonl` asks for. The message names the line, never its text."""


def redact(lines: Iterable[str], out: TextIO, jsonl: bool, mappings: Mapping[str, Plain]) -> int:
    """Redact what the lines hold and write it to `out`; return the number of findings.

    Plain: the lines are one text, and so is what comes out. JSON lines: one
    `{"id", "text"}` a line in, one `{"id", "spans"}` a line out, written as it is found.

    Raises:
        LineInvalid: a line is not such an object.
        RulesInvalid: the mappings are not rules.
        NotWorking: the rules do not find what they must.
    """
    lean.install()
    from gateway.redaction.engine import Engine  # noqa: PLC0415  # only after `lean.install`

    engine = Engine(mappings)
    engine.test()

    def find(text: str) -> list[Finding]:
        parts = pieces(text)
        return join(parts, engine.find([text[part.start : part.end] for part in parts]))

    if not jsonl:
        text = "".join(lines)
        findings = find(text)
        done = 0
        for finding in findings:
            out.write(text[done : finding.start] + PLACEHOLDER)
            done = finding.end
        out.write(text[done:])
        return len(findings)
    total = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        identifier, text = _read(number, line)
        findings = find(text)
        spans = [
            {"start": one.start, "end": one.end, "category": one.category.value, "score": round(one.score, 3)}
            for one in findings
        ]
        out.write(orjson.dumps({"id": identifier, "spans": spans}).decode() + "\n")
        total += len(findings)
    return total


def _read(number: int, line: str) -> tuple[str | int, str]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise LineInvalid(f"line {number} is not valid JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not isinstance(row.get("id"), str | int):
        raise LineInvalid(f'line {number} is not an object with an "id" and a "text"')
    return row["id"], row["text"]
