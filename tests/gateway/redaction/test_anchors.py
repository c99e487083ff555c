"""At which words phrases are noticed."""

from __future__ import annotations

import pytest

from gateway.redaction.anchors import common_words, graph
from gateway.redaction.grammar import Unread, read
from gateway.redaction.phrases import Phrases


def noticed(*sources: str) -> set[str]:
    """The spelled words at which these patterns are noticed."""
    phrases = Phrases({})
    for number, source in enumerate(sources):
        phrases.add_pattern(read(source, phrase=True), number)
    anchors = set(graph(phrases).anchors.keys.tolist())
    return {word.decode() for word, atoms in phrases.bearing().items() if not anchors.isdisjoint(atoms)}


def test_common_words_say_how_often() -> None:
    """The list knows the words that all talk is made of, and the more frequent from the less."""
    words = common_words()

    assert words["the"] > words["quarter"] > words.get("estimate", 0) > 0
    assert "dialysis" not in words


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (("he is on dialysis",), {"dialysis"}),
        (("dialysis is on",), {"dialysis"}),
        ((r"he (?:\w+ ){0,2}chemo and",), {"chemo"}),
        (("on (?:dialysis|chemo)",), {"dialysis", "chemo"}),
        (("he has it", "he has dialysis"), {"has", "dialysis"}),
        (("dialysis(?: is)?",), {"dialysis"}),
    ],
)
def test_phrases_are_noticed_at_their_rarest_words(sources: tuple[str, ...], words: set[str]) -> None:
    """Each phrase at one of its words, where it is least often looked at for nothing."""
    assert noticed(*sources) == words


@pytest.mark.parametrize("source", [r"\w+ \w+", r"(?:\w+ ){1,3}\w+"])
def test_a_phrase_of_any_words_is_refused(source: str) -> None:
    """A pattern without a word of its own would be everywhere."""
    with pytest.raises(Unread, match="any words"):
        noticed(source)
