"""What stands beside candidates, read by the machine of all sides, held against RE2 itself."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.redaction import machines
from gateway.redaction.beside import AFTER, BEFORE, GOES_ON, HOLDS, WORDS, read
from gateway.redaction.grammar import Unread, read_link
from gateway.redaction.machines import Pattern, machine
from gateway.redaction.reading import Draft, read_context
from gateway.redaction.rules import ignore
from gateway.redaction.stepping import _LATE, Room, run_with
from gateway.redaction.tables import Machine
from tests.evaluate import ROOT, rules

SOURCES = (
    "he is|she was|they",
    r"\b(?:he|she)'?s ",
    "(?-i:[A-Z])[a-z]+ ?",
    r"(?-i:Ms|Dr)\.? \w+",
    r"[^\n.!?]{0,5}\b(?:he|his)",
    r"\bhe\b[^a-c]{1,4}",
    r"(?:\A|\n) *- ",
    r"is\z",
    r"\bhe\z|\bis\b\z",
    r"(?:\w+ ){0,2}(?:is |a )*",
    "a.b|.{2}Z",
    "(?:(?:a|b)*c)+|d?",
    "(?:abcdefg|abcdefh|bcd|cde|def|efg|fgh|ghi|hij|ijk) ?[ld]'?",
    r"[\w:\[ ]+\]|\(?\d+[.):]",
)


class Links:
    """Sides, and what reads them; what lies beyond a text is nothing to it."""

    def __init__(self, sides: Machine) -> None:
        self.sides, self.room = sides, Room.of(sides)
        self._table = run_with(self.sides, self.room)

    def holds(self, text: bytes, side: int = 0) -> bool:
        """Whether a side stands where a text ends, or begins."""
        return self._read(text, side, wholly=False) == HOLDS

    def goes_on(self, text: bytes) -> bool:
        """Whether more text might make the first one stand there."""
        return self._read(text, 0, wholly=True) == GOES_ON

    def _read(self, text: bytes, side: int, *, wholly: bool) -> int:
        data = np.frombuffer(b"he " + text + b" is", np.uint8)
        return read(data, 3, 3 + len(text), side, wholly, WORDS, self._table)


def links(*sources: str, before: bool) -> Links:
    """The machine of some sides, as written."""
    return Links(machine([Pattern([(read_link(source), 0)], before) for source in sources]))


def stands(source: str, text: str, *, before: bool) -> bool:
    """What RE2 says."""
    written = rf"(?i)(?:{source})\z" if before else rf"(?i)\A(?:{source})"
    return re2.compile(written.encode()).search(text.encode()) is not None


@pytest.mark.parametrize("joined", [8, 0])
@pytest.mark.parametrize("before", [True, False])
@given(text=st.text(alphabet="heisaAHbcdZ .'-\n3[:)]", max_size=16))
@settings(max_examples=150, deadline=None)
def test_reads_what_re2_reads(text: str, before: bool, joined: int) -> None:
    """Each side as RE2 would, whether its places are joined or stay alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machines, "_MOST_JOINED", joined)
        known = links(*SOURCES, before=before)

    for number, source in enumerate(SOURCES):
        assert known.holds(text.encode(), number) is stands(source, text, before=before), source


def test_reads_the_shipped_links_as_re2_reads_them() -> None:
    """All sides beside any word of real talk; some stand there."""
    draft = Draft(ignore)
    read_context(draft, rules()["context"])
    known = Links(machine([Pattern([(side.tree, 0)], side.before) for side in draft.sides]))
    expressions = [re2.compile(side.source.encode()) for side in draft.sides]
    chance, held = random.Random(2), 0
    for line in (ROOT / "tests/data/sales_dev.jsonl").read_text("utf-8").splitlines()[::4]:
        text = json.loads(line)["text"].encode("ascii", "replace")
        at = chance.randrange(len(text))
        stretches = {True: text[max(0, at - BEFORE) : at], False: text[at : at + AFTER]}
        for number, (side, expression) in enumerate(zip(draft.sides, expressions, strict=True)):
            expected = expression.search(stretches[side.before]) is not None
            assert known.holds(stretches[side.before], number) is expected, side.source[:80]
            held += expected
    assert len(draft.sides) > 100
    assert held > 50


@pytest.mark.parametrize("source", SOURCES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_every_beginning_of_a_match_goes_on(source: str, data: st.DataObject) -> None:
    """At each character before the one with which a side stands there, more might make it so."""
    python = source.replace("(?-i:", "(?:").replace(r"\z", r"\Z")
    drawn = data.draw(st.from_regex(rf"\A(?:{python})", fullmatch=True, alphabet=st.characters(codec="ascii")))
    known = links(source, before=False)

    for size in range(len(drawn) + 1):
        if stands(source, drawn[:size], before=False):
            break
        assert known.goes_on(drawn[:size].encode()) or not stands(source, drawn, before=False)


def test_what_cannot_become_a_match_does_not_go_on() -> None:
    """Once no place is left, whatever comes."""
    known = links("he is", before=False)

    assert known.goes_on(b"")
    assert known.goes_on(b"he ")
    assert not known.goes_on(b"her")
    assert known.goes_on(b"he is")
    assert not known.goes_on(b"he is!")


def test_reads_at_many_places_at_once() -> None:
    """However many a side may be at, none is lost."""
    upto = "|".join(f"[a-z]{{{size}}}" for size in range(1, 21))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machines, "_MOST_JOINED", 0)
        known = links(f"(?:{upto}){{2}}3", before=False)

    for size in range(1, 45):
        assert known.holds(b"a" * size + b"3") is (2 <= size <= 40)


def test_time_begins_anew() -> None:
    """After very many characters, what was seen long ago is not taken for now."""
    known = links("he is", before=False)
    known.room.clock[0] = _LATE + 1
    known.room.seen[:] = np.arange(len(known.room.seen)) % 3

    assert known.holds(b"he is")
    assert known.room.clock[0] < 10


@pytest.mark.parametrize("name", ["_PLACE_BITS", "CLASS_BITS"])
def test_what_is_too_much_is_said(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A machine has room for so many places and classes."""
    monkeypatch.setattr(machines, name, 3)

    with pytest.raises(Unread, match="too"):
        links("[ab][bc][cd][de][ef][fg][gh][hi][ij]", before=True)


@pytest.mark.parametrize("source", ["(?s:a.b)", "(?i)a", "(?P<name>a)", r"\pL", "[[:alpha:]]", r"(a)\1"])
def test_what_cannot_be_read_is_said(source: str) -> None:
    """Rather than read otherwise than RE2 would."""
    with pytest.raises(Unread):
        read_link(source)
