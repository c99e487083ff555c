"""Whose turn it is: short calls between the chunks of long ones."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.categories import Category
from gateway.errors import Code, Unavailable
from gateway.redaction import waiting as room
from gateway.redaction.blocks import asked, blocks, encoded, items
from gateway.redaction.findings import Finding
from gateway.redaction.segments import SIZE
from gateway.redaction.waiting import CHUNK, Job, Waiting, chunks


def job(text: str) -> Job:
    """A job of one text."""
    return Job([encoded([text])], [text], len(text), asyncio.get_running_loop().create_future())


async def test_short_calls_go_between_the_chunks_of_a_long_one() -> None:
    """However long a transcript, a call that comes after it waits for one chunk, not for all."""
    waiting = Waiting()
    long = [job("x" * CHUNK) for _ in range(50)]
    waiting.add(long)
    first = waiting.next()
    short = [job(f"short {n}") for n in range(3)]
    for one in short:
        waiting.add([one])

    turns = [waiting.next(), waiting.next()]

    assert first == [long[0]]
    assert short in turns
    assert any(turn[0] in long for turn in turns)


async def test_answers_go_first_and_requests_get_their_turn() -> None:
    """What has begun is ended before more begins; however many answers there are, a request waits for one frame."""
    waiting = Waiting()
    requests = [job("x" * (CHUNK // 2 + 1)) for _ in range(2)]
    answers = [job("y" * (CHUNK // 2 + 1)) for _ in range(3)]
    for one in requests:
        waiting.add([one])
    for one in answers:
        waiting.add_answer(one)

    turns = [waiting.next() for _ in range(5)]

    assert turns == [[answers[0]], [requests[0]], [answers[1]], [requests[1]], [answers[2]]]
    assert not waiting


async def test_what_there_is_room_for_goes_along() -> None:
    """A frame of one queue takes from the others what fits; a job that is asked once more goes by itself."""
    waiting = Waiting()
    request, answer, again = job("request"), job("answer"), job("again")
    waiting.add([request])
    waiting.add_answer(answer)
    waiting.again(again)

    assert [waiting.next(), waiting.next()] == [[again], [request, answer]]
    assert not waiting


async def test_a_caller_that_is_gone_takes_no_turn() -> None:
    """What nobody waits for is dropped, and its room is free."""
    waiting = Waiting()
    gone, there = job("gone"), job("there")
    waiting.add([gone])
    waiting.add([there])
    gone.done.cancel()

    assert waiting.next() == [there]
    assert not waiting


async def test_refuses_beyond_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many characters may wait, and not one more."""
    monkeypatch.setattr(room, "_QUEUE_SIZE", 10)
    waiting = Waiting()
    waiting.add([job("12345")])

    waiting.check_room(5)
    with pytest.raises(Unavailable) as caught:
        waiting.check_room(6)

    assert caught.value.code is Code.OVERLOADED


@given(st.lists(st.integers(0, 3 * SIZE), max_size=40))
def test_blocks_hold_every_text_once_and_keep_their_beginning(sizes: list[int]) -> None:
    """Blocks follow on one another; what is appended changes none but the last."""
    texts = ["x " * (size // 2) for size in sizes]
    listed, _cuts = items(texts)
    made = list(blocks(listed))

    assert [index for block in made for index in range(block.first, block.last)] == list(range(len(listed)))
    assert all(block.json == encoded(listed[block.first : block.last]) for block in made)
    more, _cuts = items([*texts, "and more"])
    assert list(blocks(more))[: len(made) - 1] == made[:-1]
    named = [(block.json, block) for block in made]
    assert [pair for chunk in chunks(named) for pair in chunk] == named


@given(st.lists(st.integers(0, 5 * SIZE), max_size=12), st.data())
def test_neighbouring_pieces_are_asked_as_one(sizes: list[int], data: st.DataObject) -> None:
    """Whatever is remembered: each block gets what it answers for, in its own offsets, as if it had been asked alone."""
    texts = ["".join(f"{number:07d} " for number in range(size // 8)) for size in sizes]
    listed, cuts = items(texts)
    wanted = [(block.json, block) for block in blocks(listed) if data.draw(st.booleans())]

    told = asked(wanted, listed, cuts.values())

    answers = [answer for one in told for answer in one.by_name([_each(text) for text in one.items])]
    assert [name for name, _found in answers] == [name for name, _block in wanted]
    parts = {cut.first + number: part for cut in cuts.values() for number, part in enumerate(cut.parts)}
    for (_name, found), (_same, block) in zip(answers, wanted, strict=True):
        for number, findings in enumerate(found, block.first):
            text, part = listed[number], parts.get(number)
            seen = [one for one in _each(text) if part is None or part.first <= part.start + one.start < part.last]
            among = [one for one in findings if part is None or part.first <= part.start + one.start < part.last]
            assert among == seen
    assert sum(len(one.items) for one in told) <= sum(block.last - block.first for _name, block in wanted)


def _each(text: str) -> list[Finding]:
    """A finding for each eight characters of a text; they say where in it they stand."""
    return [Finding(at, at + 7, Category.HEALTH, 0.5) for at in range(len(text)) if text[at : at + 8].strip().isdigit()]
