"""A text that comes in pieces: what is let go is what the whole gives, however it was cut, and as soon as it may."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Sequence

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.categories import PLACEHOLDER, Scope
from gateway.redaction.findings import Ends, Window
from gateway.redaction.redactor import Redactor, untyped
from gateway.redaction.stream import Channels
from gateway.redaction.treatment import Treatment
from tests.detectors import shared
from tests.evaluate import ROOT, rules
from tests.gateway.redaction.conftest import InProcess, shipped

ENGINE = shipped()
SECRET = "My brother is HIV positive."
REST = "My brother is [REDACTED]."
HELD = 512


def streamed(pieces: Iterable[str], held: int = HELD, scope: Scope = Scope.SPAN) -> tuple[str, list[int]]:
    """What comes out of pieces that are let go as soon as they may be, and how much was held after each."""

    async def flow() -> tuple[str, list[int]]:
        channels = Channels(InProcess(ENGINE), held, scope)
        channel = channels.channel(("text",))
        waiting: list[tuple[int, str]] = []
        out: list[str] = []
        holds: list[int] = []
        for piece in [*pieces, None]:
            if piece is None:
                channels.close()
            else:
                waiting.append((channel.size, piece))
                channel.feed(piece)
            await channels.look()
            while waiting and channel.settled >= waiting[0][0] + len(waiting[0][1]):
                start, text = waiting.pop(0)
                out.append(channel.cleaned(text, start, untyped))
            holds.append(channel.size - channel.settled)
        assert not waiting
        return "".join(out), holds

    return asyncio.run(flow())


def whole(text: str, scope: Scope = Scope.SPAN) -> str:
    """What the redactor makes of the whole text at once."""
    return asyncio.run(Redactor(InProcess(ENGINE), treatment=Treatment(scope)).redact(text))[0]


def windows(passages: Sequence[str], round_about: int = 150) -> list[str]:
    """Every finding of the passages with the text round it."""
    found: list[str] = []
    for passage, findings in zip(passages, ENGINE.find(passages), strict=True):
        found.extend(passage[max(0, one.start - round_about) : one.end + round_about] for one in findings)
    return found


def passages() -> list[str]:
    """The labelled passages that ship."""
    lines = (ROOT / "tests/data/sales_dev.jsonl").read_bytes().splitlines()
    return [orjson.loads(line)["text"] for line in lines]


EXAMPLES = [example.text for example in ENGINE.compiled.examples]
EVASIONS = [
    "my brother is H.I.V. positive, uh, since May",
    "she has d i a b e t e s and uh the demo is at two",
    "elle a le c\u200ban\u0441er du sein, euh, depuis mardi",  # a zero-width space, a Cyrillic letter
    "my wife, um, has breast, uh, cancer. And the quote",
    "I v o t e d for the ndp, my brother is in the t e a m s t e r s",
    "his—husband's a\u0301sthma",
    "_H_I_V_ positive he is",
]


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(text, marks=[pytest.mark.soak] if at % 4 else []) for at, text in enumerate(EXAMPLES)),
        *EVASIONS,
    ],
    ids=range(len(EXAMPLES) + len(EVASIONS)),
)
def test_every_split_gives_the_whole(text: str) -> None:
    """Cut in two at any place, a text gives what it gives whole. A quarter of the examples; `make soak` has the others."""
    expected = whole(text)

    assert all(streamed([text[:at], text[at:]])[0] == expected for at in range(len(text) + 1))
    assert streamed(text)[0] == expected


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.soak)])
def test_every_split_round_every_finding_of_the_passages(every: int) -> None:
    """In real passages too, at every place round every finding: what is settled is found, and stays."""
    for text in windows(passages()[::every], 120):
        (found,) = ENGINE.find([text])
        for at in range(1, len(text)):
            (settled,) = ENGINE.settle([Window(text[:at], 0, Ends.OPEN)])
            assert settled.findings == [one for one in found if one.start < settled.end]
            assert not any(one.start < settled.end < one.end for one in found)


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("scope", [Scope.SPAN, Scope.SENTENCE])
def test_passages_in_random_pieces_give_the_whole(scope: Scope, every: int) -> None:
    """Whole passages, in pieces as tokens are; where whole sentences go, they are complete before they go."""
    source = random.Random(7)
    for text in passages()[::every]:
        cuts = sorted(source.sample(range(len(text)), len(text) // 5))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

        assert streamed(pieces, scope=scope)[0] == whole(text, scope)


def test_a_sentence_without_an_end_is_bounded() -> None:
    """Speech recognition writes no full stops: what is farther off than a sentence reaches goes."""
    text = (
        "so we talked about the quote and the dates again " * 40
        + "my brother is HIV positive "
        + "and then we spoke " * 60
    )

    out, holds = streamed([text[at : at + 9] for at in range(0, len(text), 9)], scope=Scope.SENTENCE)

    assert PLACEHOLDER in out
    assert "HIV" not in out
    assert max(holds) < 1_300


@given(
    words=st.lists(
        st.sampled_from([*" .,\n-'_", "uh", "I", "a", "his", "has", "HIV", "positive", "cancer", "é", "\u200b", "x"])
    ),
    source=st.randoms(use_true_random=False),
)
@settings(max_examples=300, deadline=None)
def test_any_text_in_any_pieces(words: list[str], source: random.Random) -> None:
    """Texts made of what folding and rules care about, cut anywhere."""
    text = " ".join(words) if source.random() < 0.5 else "".join(words)
    assume(not any(ENGINE._forms.readings(text)))  # in other forms requests are read, and answers are not
    cuts = sorted(source.sample(range(len(text) + 1), min(len(text), 4)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert streamed(pieces)[0] == whole(text)


def test_no_more_is_held_than_a_clause() -> None:
    """Real talk flows: the usual hold is the few words that a finding may grow by, and hardly ever more than a clause."""
    holds: list[int] = []
    for text in passages()[::6]:
        words = [f"{word} " for word in text.split(" ")]
        holds.extend(streamed(words)[1])
    holds.sort()

    assert holds[len(holds) // 2] <= 40
    assert holds[len(holds) * 99 // 100] <= 120


def test_the_most_that_is_held_is_bounded() -> None:
    """A beginning that never ends is decided as it stands; no look is made for ever."""
    endless = "I am HIV positive " + "a" * 40_000

    out, holds = streamed([endless[at : at + 700] for at in range(0, len(endless), 700)], held=256)

    assert out.endswith("aaaa")
    assert max(holds) <= 256 + 700
    assert streamed([endless], held=256)[0].startswith("I am [REDACTED] aaa")


def test_who_may_not_wait_gets_rather_too_little() -> None:
    """A candidate that more text could have cleared is taken out when nobody may wait; a word that began stays."""
    late = ENGINE.settle([Window("My brother has cancer", 0, Ends.LATE), Window("so he has canc", 0, Ends.LATE)])

    assert [len(one.findings) for one in late] == [0, 0]
    assert late[1].end == len("so he has ")
    (decided,) = ENGINE.settle([Window("My brother has cancer ", 0, Ends.LATE)])
    assert len(decided.findings) == 1
    assert decided.end >= len("My brother has cancer")


# --- JSON -----------------------------------------------------------------------------------------

JSON = {
    "a value": ({"note": SECRET}, {"note": REST}),
    "a key": ({"his husband": 1, "her wife": 2}, {"[REDACTED]": 1, "[REDACTED]2": 2}),
    "deep": ({"a": [{"b": ["fine", SECRET]}], "n": -1.5e3, "t": [True, False, None]}, None),
    "twice deep": ({"a": json.dumps({"b": json.dumps({"c": SECRET})})}, None),
    "escapes": ({"a": 'She said "' + SECRET + '"\n\té \U0001f600 \\ his husband'}, None),
}


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "plain"])
def test_json_stays_json_at_every_split(name: str, ascii_only: bool) -> None:
    """Findings inside strings and keys are taken out, and what comes out parses, wherever it was cut."""
    value, expected = JSON[name]
    text = json.dumps(value, ensure_ascii=ascii_only)
    cleaned, _holds = streamed([text])

    parsed = json.loads(cleaned)
    assert SECRET[14:] not in json.dumps(parsed)
    assert PLACEHOLDER in cleaned
    if expected is not None:
        assert parsed == expected
    assert all(streamed([text[:at], text[at:]])[0] == cleaned for at in range(1, len(text)))
    assert streamed(text)[0] == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("[Note] " + SECRET, "[Note] " + REST),
        ("[1] " + SECRET, "[1] " + REST),
        ("[no, " + SECRET + "]", "[no, " + REST + "]"),
        ('{"a": 1} ' + SECRET, '{"a": 1} ' + REST),
        ("{" + SECRET + "}", "{" + REST + "}"),
        ('{"a": ' + SECRET, '{"a": ' + REST),
        ('{"a": "' + SECRET[:-1], '{"a": "' + REST[:-1]),
        ('["x", his husband', '["x", [REDACTED]'),
        (" \n\t", " \n\t"),
        ('["\\ud83d', '["\\ud83d'),
        ('["\\u00', '["\\u00'),
        ('["\\q his husband"]', '["\\q [REDACTED]"]'),
    ],
)
def test_what_only_begins_like_json_is_prose(text: str, cleaned: str) -> None:
    """Text that turns out not to be JSON, or that was cut off, is looked at all the same."""
    assert streamed([text])[0] == cleaned
    assert all(streamed([text[:at], text[at:]])[0] == cleaned for at in range(1, len(text)))


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.sampled_from([SECRET, "", "fine", "his husband", '{"a":"' + SECRET + '"}', "[his"])
        | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "his wife", "é"]), inner),
        max_leaves=6,
    ),
    source=st.randoms(use_true_random=False),
    ascii_only=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_any_json_in_any_pieces_parses(value: object, source: random.Random, ascii_only: bool) -> None:
    """Any document in any pieces: what comes out parses, the same as whole, and nothing planted is in it."""
    text = json.dumps([value], ensure_ascii=ascii_only)
    cuts = sorted(source.sample(range(len(text) + 1), min(len(text), 5)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    cleaned, _holds = streamed(pieces)

    assert cleaned == streamed([text])[0]
    json.loads(cleaned)
    assert "HIV positive" not in cleaned
    assert "his husband" not in cleaned


def test_equal_texts_get_equal_edits_without_a_look() -> None:
    """A text that is said again whole is known by what was found in it, and counted once."""

    async def flow() -> tuple[str, int, int]:
        finds = InProcess(ENGINE)
        channels = Channels(finds, HELD)
        channel = channels.channel(("text",))
        for character in SECRET:
            channel.feed(character)
            await channels.look()
        channels.close()
        await channels.look()
        again = channels.text(SECRET)
        assert not list(again.windows())
        return again.cleaned(SECRET, 0, untyped), sum(channels.redactions.values()), again.settled

    assert asyncio.run(flow()) == (REST, 1, len(SECRET))


def test_channels_are_apart_and_closed_by_the_beginning_of_their_key() -> None:
    """What one channel says is nothing to another; a prefix closes all that begin so."""

    async def flow() -> list[str]:
        channels = Channels(InProcess(ENGINE), HELD)
        one, other = channels.channel((0, "a")), channels.channel((1, "a"))
        one.feed("My brother is HIV")
        other.feed(" positive. My brother is HIV")
        await channels.look()
        channels.close((0,))
        assert one.closed
        assert not other.closed
        channels.close()
        await channels.look()
        texts = ("My brother is HIV", " positive. My brother is HIV")
        return [channel.cleaned(text, 0, untyped) for channel, text in zip((one, other), texts, strict=True)]

    cleaned = asyncio.run(flow())

    assert cleaned[0] == whole("My brother is HIV")
    assert cleaned[1].startswith(" positive.")


async def test_the_detector_settles_as_the_engine_does() -> None:
    """Windows go to the worker and back, beside whole texts."""
    from gateway.redaction.detector import Detector  # noqa: PLC0415
    from gateway.redaction.patience import Patience  # noqa: PLC0415

    detector = Detector(rules(), patience=Patience(20.0), mother=shared().mother)
    await detector.start()
    try:
        asked = [Window(text[: len(text) * 2 // 3], len(text) // 3, ends) for text in EXAMPLES[:20] for ends in Ends]
        settled, found = await asyncio.gather(detector.settle(asked), detector.find(EXAMPLES[:3]))
    finally:
        await detector.stop()

    assert settled == ENGINE.settle(asked)
    assert found == ENGINE.find(EXAMPLES[:3])
