"""Turns a bracketed corpus source into JSON lines with code-point offsets.

A source is a run of passages. Each opens with `# id lang style`; its body may hold
`⟦words|CATEGORY⟧` (scored) and `⟦words|CATEGORY?⟧` (optional). The format of both sides is in
README.md beside this file.

Usage: python -m tests.corpora.convert SOURCE.src TARGET.jsonl
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.categories import Category

_OPENING = re.compile(r"^# ([a-z]\d{3}) (en|fr) (clean|asr|notes|prompt)$", re.MULTILINE)
_BRACKET = re.compile(r"⟦([^⟦⟧|]+)\|([A-Z_]+)(\??)⟧")


def passages(source: str) -> Iterator[dict[str, object]]:
    """Each passage of `source` as one record of the corpus format, in order.

    Raises:
        ValueError: a bracket is broken, names no category, or has a space at an edge.
    """
    pieces = _OPENING.split(source)[1:]
    for name, lang, style, body in zip(*(pieces[part::4] for part in range(4)), strict=True):
        text, spans = _read(body.strip(), name)
        yield {"id": name, "lang": lang, "style": style, "text": text, "spans": spans}


def _read(marked: str, name: str) -> tuple[str, list[dict[str, object]]]:
    text = ""
    spans: list[dict[str, object]] = []
    # A pattern of three groups splits into plain, words, category, mark, plain, ..., plain.
    parts = _BRACKET.split(marked)
    for plain, words, category, mark in zip(*(parts[part:-1:4] for part in range(4)), strict=True):
        if category not in Category.__members__ or words != words.strip():
            raise ValueError(f"{name}: a bad bracket of {category}")
        start = len(text) + len(plain)
        text += plain + words
        spans.append({"start": start, "end": len(text), "category": category, "optional": mark == "?"})
    text += parts[-1]
    if "⟦" in text or "⟧" in text:
        raise ValueError(f"{name}: a broken bracket")
    return text, spans


if __name__ == "__main__":
    records = passages(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    Path(sys.argv[2]).write_text("".join(lines), encoding="utf-8")
