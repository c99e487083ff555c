"""Where the part of a phrase stands that is the finding."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from gateway.redaction.automata import NOWHERE, Expression
from gateway.redaction.engine import Engine
from gateway.redaction.grammar import Tree, members, read
from gateway.redaction.parts import Members, Source

NAMES = Members(["ann", "anna", "conjointe?", "jo", "mary(?: +)ann", "(?:best|old) friend", "lord|lady"])
PEOPLE = Members([Source("my <names>", {"names": NAMES}), Source("<names>s?", {"names": NAMES}), "somebody"])
SOURCES = {
    "a macro": r"<names> (is here)",
    "a macro as the part": r"with (<names>) ?\w*",
    "a macro that may be absent": r"(?:<names> )?(is|anna)",
    "a macro in a word": r"\w*(<names>)\w* \w+",
    "a macro of macros": r"<people> (?:and <people> )?(\w+)",
    "two ways to read it": r"(?:<names>|[a-z]+) ?(<names>|[a-z ]+?) ?\w*",
    "nothing marked": r"<people> is \w+",
    "a macro that nobody knows": r"<nobody>(<names>)",
}
TEXTS = [
    "ann is here",
    "anna is here",
    "joanna is here",
    "conjoint is here",
    "conjointe is here",
    "mary  ann is here",
    "best friend is here",
    "lady is here",
    "nobody is here",
    "with anna",
    "with ann now",
    "with",
    "is",
    "my jo and anna is",
    "my lord anna",
    "annas and jos went",
    "somebody is here",
    "anna anna anna",
    f"{'jo' * 5000} is",
    "",
]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_the_part_is_where_it_is_with_all_members_written_out(source: str) -> None:
    """Whether texts are asked for one by one or together."""
    some = Source(source, {"names": NAMES, "people": PEOPLE})
    texts = [text.encode() for text in TEXTS]
    expected = _of_all(some, texts)

    assert [some.parts([text])[0] for text in texts] == expected
    assert some.parts(texts) == expected


def test_only_members_that_may_stand_in_a_text_are_written_out() -> None:
    """Each that begins within a word, and each of which it is not known how it begins; in order."""
    source = Source("<names> is", {"names": NAMES})

    assert source.written({"joann", "conjure"}) == "(?:ann|jo|(?:best|old) friend|lord|lady) is"
    assert Source("<names> is", {"names": Members(["ann"])}).written({"mary"}) == r"[^\x00-\x7f] is"


def test_every_marked_phrase_has_its_part_where_all_its_macros_written_out_find_it(engine: Engine) -> None:
    """Texts made of the phrases' own trees, and the same with a word too many or too few."""
    source = random.Random(7)
    marked = [phrase for phrase in engine.compiled.phrases if phrase.exact is not None]
    found = 0
    for phrase in marked:
        assert phrase.exact is not None
        tree = read(phrase.pattern, phrase=True)
        texts = [_text(tree, phrase.macros, source) for _ in range(4)]
        texts += [_changed(text, source) for text in texts]
        several = [text.encode() for text in texts]
        expected = _of_all(phrase.exact, several)

        assert phrase.parts(several[:1]) + phrase.parts(several[1:]) == expected, phrase.pattern
        found += sum(part != NOWHERE for part in expected)
    assert found > len(marked)


def _of_all(source: Source, texts: list[bytes]) -> list[tuple[int, int]]:
    """What RE2 says with all macros written out."""
    expression = Expression(source.written())
    found = []
    for text in texts:
        spans = expression.whole(text)
        found.append(spans[1] if len(spans) > 1 and spans[1] != NOWHERE else spans[0])
    return found


def _text(tree: Tree, macros: Mapping[str, Tree], source: random.Random) -> str:
    """A text that a tree of a phrase matches."""
    match tree.kind:
        case "text":
            return tree.text
        case "gap":
            return source.choice(("", " ", " ", " ", " ", "'", ", "))
        case "set":
            return source.choice(members(tree.mask))
        case "or":
            return _text(source.choice(tree.parts), macros, source)
        case "macro":
            return _text(macros[tree.text], macros, source)
        case "repeat":
            most = tree.least + 3 if tree.most is None else tree.most
            times = source.randint(tree.least, most)
            return "".join(_text(tree.parts[0], macros, source) for _ in range(times))
    return "".join(_text(part, macros, source) for part in tree.parts)


def _changed(text: str, source: random.Random) -> str:
    """A text with a word more or less, or a letter more."""
    words = text.split(" ")
    at = source.randrange(len(words))
    match source.randrange(3):
        case 0:
            words.insert(at, source.choice(("he", "anna", "2", "very", *words)))
        case 1:
            del words[at]
        case _:
            words[at] += source.choice("s1'")
    return " ".join(words)
