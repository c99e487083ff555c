"""The shadow of a text and the way back."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.redaction import folding
from gateway.redaction.automata import Expression
from gateway.redaction.folding import fold

SPELLINGS = {
    "plain": "HIV",
    "full width": "\uff28\uff29\uff36",
    "zero width inside": "H\u200bI\u200dV",
    "soft hyphen": "H\u00adI\u00adV",
    "bidi marks": "H\u202eI\u2066V",
    "tag characters": "H\U000e0041IV",
    "Cyrillic look-alike": "H\u0406V",
    "Greek look-alike": "\u0397IV",
    "dotted": "H.I.V",
    "spaced": "H I V",
    "hyphened": "H-I-V",
    "mathematical": "\U0001d407\U0001d408\U0001d415",
    "control character": "H\x01IV",
    "combining mark": "H\u0301IV",
    "circled": "\u24bd\u24be\u24cb",
}

FILLERS = [one for said in ("uh", "uhm", "um", "erm", "euh", "heu") for one in (said, said.capitalize())]


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_reads_every_spelling_alike(spelling: str) -> None:
    """A spelling made to be overlooked has the same shadow as the plain one, and maps back to itself."""
    text = f"is {spelling} now"

    folded = fold(text)

    start = folded.shadow.index("HIV")
    first, last = folded.original(start, start + 3)
    assert text[first:last] == spelling


def test_drops_fillers_inside_a_term() -> None:
    """Spoken fillers become a gap in the shadow, and a span over them covers them in the text."""
    text = "he is HIV, uh, positive um okay"

    folded = fold(text)

    start = folded.shadow.index("HIV,     positive")
    first, last = folded.original(start, start + len("HIV,     positive"))
    assert text[first:last] == "HIV, uh, positive"


@settings(deadline=None)
@given(
    st.builds(
        lambda room, pieces: "." * room + "".join(pieces),
        st.integers(0, 70),
        st.lists(st.sampled_from([*FILLERS, *" ,.-_'\n\t\0\x7f19aImDx", " . ", ". ", "word"]), max_size=40),
    ),
    st.booleans(),
)
@example(" uh' um- erm9 euh_ heu.", True)
@example(" Uhm, Um Euh,uHm", False)
@example(" UH uhh,uh,um eUh he", True)
@example("a_b_c_d a_b_c", False)
@example("a . b . c a .d .e", False)
@example("a. b. c. is a.b.c.9 a-b-c- a b c", False)
@example("'m I d, 's a b I'd d e f", False)
@example("a\x0bb\x7f\x1f", False)
def test_fillers_and_spelled_words_are_what_they_are_said_to_be(text: str, fillers: bool) -> None:
    """Machine code finds all fillers, and overlooks nothing that is spelled out."""
    data = bytearray(text, "ascii")
    for filler in re.finditer(rf"(?<=[ ,])(?:{'|'.join(FILLERS)})(?![A-Za-z0-9'-]),?", text):
        start, end = filler.start() - 1, filler.end()
        data[start:end] = (b"\xff" if fillers else b" ") * (end - start)
    pieces = folding._odd(bytes(data), bytes([folding._MAY_BE_ODD]) * len(data))
    if fillers:
        pieces = sorted(pieces + [found.span() for found in folding._OUT.finditer(data)])

    shadow = folding._close_up(data.decode("ascii", "replace"), pieces, [])
    assert fold(text, fillers).shadow == shadow.replace("_", " ")


@given(st.text("\0\x01\x7fab HIV.'", max_size=24), st.booleans())
@example("h\0\0\0i\0v", False)
def test_controls_side_by_side_are_taken_out_as_one_by_one(text: str, fillers: bool) -> None:
    """And each place of the shadow is the same place of the text."""
    together = fold(text, fillers)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(folding, "_ODD", Expression(folding._ODD.source.replace("]+|", "]|", 1)))
        one_by_one = fold(text, fillers)

    assert together.shadow == one_by_one.shadow
    places = range(len(together.shadow) + 1)
    spans = [(start, end) for start in places for end in places[start + 1 :]]
    assert [together.original(*span) for span in spans] == [one_by_one.original(*span) for span in spans]
    assert [together.shadowed(at) for at in range(len(text) + 1)] == [
        one_by_one.shadowed(at) for at in range(len(text) + 1)
    ]


def test_keeps_words_that_only_begin_like_a_filler() -> None:
    """`umbrella` and `uh-huh` are no fillers."""
    assert fold("an umbrella and uh-huh").shadow == "an umbrella and uh-huh"


@given(st.text(max_size=200))
def test_shadow_is_ascii_and_spans_map_into_the_text(text: str) -> None:
    """Whatever the text, its shadow is ASCII, and every span of it maps to a span of the text, in order."""
    folded = fold(text)

    assert folded.shadow.isascii()
    for at in range(len(folded.shadow)):
        start, end = folded.original(at, at + 1)
        assert 0 <= start < end <= len(text)


@given(
    st.text(alphabet=st.characters(categories=["Ll", "Lu", "Mn", "Cf", "Zs", "Nd"]), max_size=80), st.text(max_size=20)
)
def test_a_planted_word_maps_back_exactly(before: str, after: str) -> None:
    """A word between spaces maps back to exactly its own characters, whatever stands before it."""
    text = f"{before} = quaker = {after}"

    folded = fold(text)

    start = folded.shadow.index(" quaker ") + 1
    first, last = folded.original(start, start + 6)
    assert text[first:last] == "quaker"


@pytest.mark.parametrize(
    "text",
    [
        "e" + "\u0301" * 200_000,
        "a " * 100_000,
        " uh," * 50_000,
        "x." * 100_000,
        "\x01" * 4_000_000,
        "".join(map(chr, range(0x20, 0x30000, 7))),
    ],
    ids=["combining marks", "spelled out", "fillers", "dots", "controls", "planes"],
)
def test_hostile_text_takes_bounded_time(text: str) -> None:
    """Nothing in a text makes folding more than linear."""
    began = time.perf_counter()

    fold(text)

    assert time.perf_counter() - began < 5.0


def test_decomposed_and_composed_accents_read_alike() -> None:
    """An accent may be there composed, decomposed, or missing."""
    composed = "syndiqu\u00e9"

    assert fold(composed).shadow == fold(unicodedata.normalize("NFD", composed)).shadow == "syndique"
