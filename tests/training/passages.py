"""Labelled passages as the trainer sees them: folded text, gold spans and the rules' own findings in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.categories import Category
from gateway.redaction.engine import Engine
from gateway.redaction.folding import fold
from gateway.redaction.growth import Found
from gateway.redaction.inprocess import InProcess
from tests.scores import Row

HERE = Path(__file__).parent
CORPORA = (
    HERE.parent / "data/sales_dev.jsonl",
    HERE.parent / "corpora/own_dev.jsonl",
    HERE.parent / "corpora/second_dev.jsonl",
)
"""Corpora to tune on; the rules were made with them in sight."""

_HEAD = re.compile(r"#\s*(en|fr)\s+(clean|asr|notes|prompt)\s*")
_MARK = re.compile(r"\{\{(\??)([A-Z_]+)\|(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Passage:
    """A folded text in lower case, its labelled spans (optional ones too), and what the rules find in it.

    `row` is the passage as corpora hold it; `fresh`: nobody who wrote rules has seen it.
    """

    row: Row
    text: bytes
    gold: tuple[Found, ...]
    found: tuple[Found, ...]
    fresh: bool


def blocks(path: Path) -> Iterator[Row]:
    """The passages of a file: `#en asr` opens one, `{{HEALTH|words}}` is a span, `{{?HEALTH|words}}` an optional one.

    Raises:
        ValueError: a mark is left over, or names no category.
    """
    blocks: list[tuple[str, str, list[str]]] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        head = _HEAD.fullmatch(line)
        if head is not None:
            blocks.append((head[1], head[2], []))
        elif blocks:
            blocks[-1][2].append(line)
    for number, (lang, style, lines) in enumerate(blocks):
        marked = "\n".join(lines).strip()
        text, done, spans = "", 0, []
        for match in _MARK.finditer(marked):
            text += marked[done : match.start()]
            category = Category(match[2])
            spans.append(
                {
                    "start": len(text),
                    "end": len(text) + len(match[3]),
                    "category": category.value,
                    "optional": bool(match[1]),
                }
            )
            text += match[3]
            done = match.end()
        text += marked[done:]
        if "{{" in text or "}}" in text:
            raise ValueError(f"{path.name}: passage {number} has a mark that is none")
        if text:
            yield {"id": f"{path.stem}-{number}", "lang": lang, "style": style, "text": text, "spans": spans}


def passages(engine: Engine) -> list[Passage]:
    """All that may be trained on."""
    look = InProcess(engine).look

    def passage(row: Row, fresh: bool) -> Passage:
        text = str(row["text"])
        folded = fold(text)
        spans = row["spans"]
        assert isinstance(spans, list)
        gold = [(one["start"], one["end"], one["category"]) for one in spans]  # type: ignore[index,call-overload]
        found = [(one.start, one.end, one.category) for one in look(text)]
        placed = [
            tuple(
                Found(folded.shadowed(start), folded.shadowed(end), Category(category)) for start, end, category in of
            )
            for of in (gold, found)
        ]
        return Passage(row, folded.shadow.lower().encode("ascii", "replace"), placed[0], placed[1], fresh)

    own = [row for path in CORPORA for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()) if row]
    new = [row for path in sorted((HERE / "passages").glob("*.txt")) for row in blocks(path)]
    return [*(passage(row, False) for row in own), *(passage(row, True) for row in new)]
