"""The detector's processes: what they find, and that nothing they do wrong passes as "nothing found"."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.categories import PERSONAL_DATA, Category
from gateway.errors import Code, Unavailable
from gateway.redaction import waiting, workers
from gateway.redaction.detector import Detector
from gateway.redaction.findings import Ends, Window
from gateway.redaction.patience import Patience
from gateway.redaction.plain import Plain
from gateway.redaction.waiting import Job
from gateway.redaction.workers import Worker

WORD = "healthword"


@pytest.fixture
async def detector(few: dict[str, Plain]) -> AsyncIterator[Detector]:
    """One worker, little patience."""
    made = Detector(few, workers=1, patience=Patience(floor=0.4))
    await made.start()
    await made.find(["awake"])
    try:
        yield made
    finally:
        await made.stop()


def workers_of(detector: Detector) -> list[int]:
    """Process ids of the workers, from the kernel."""
    assert detector._crew is not None
    nursery = detector._crew.process.pid
    return [int(pid) for pid in Path(f"/proc/{nursery}/task/{nursery}/children").read_text().split()]


async def until(condition: object) -> None:
    """Wait, within bounds, for something that processes do."""
    assert callable(condition)
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_finds_and_says_where(detector: Detector) -> None:
    """Findings are spans in code points of the text as it was given."""
    text = "\U0001f600 é " + WORD + " x"

    found = await detector.find([text, "", "nothing"])

    assert [[text[one.start : one.end] for one in findings] for findings in found] == [[WORD], [], []]
    assert found[0][0].category is Category.HEALTH
    assert detector.healthy


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (
            {"own": {"recognizers": [{"name": "Own", "supported_entity": "HEALTH", "deny_list": ["ownword"]}]}},
            "ownword",
        ),
        ({PERSONAL_DATA: ["EMAIL"]}, "ana@example.com"),
    ],
    ids=["an operator's recogniser", "personal data"],
)
async def test_the_processes_have_what_their_rules_need(
    few: dict[str, Plain], more: dict[str, Plain], found: str
) -> None:
    """Of Presidio only what the rules use is loaded: its analyser, and its own recognisers where they are asked for."""
    made = Detector({**few, **more}, patience=Patience(floor=20))
    await made.start()
    try:
        text = "ownword ana@example.com"
        ((finding,),) = await made.find([text])
    finally:
        await made.stop()

    assert text[finding.start : finding.end] == found


async def test_a_lone_surrogate_moves_no_offset(detector: Detector) -> None:
    """A string that UTF-8 cannot say is still looked at."""
    text = "\ud83d\ude00 " + WORD

    ((finding,),) = await detector.find([text])
    (settled,) = await detector.settle([Window(text, 0, Ends.CLOSED)])

    assert text[finding.start : finding.end] == WORD
    assert settled == ([finding], len(text))


async def test_what_is_asked_turn_by_turn_goes_in_one_frame(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While each turn of the loop brings more, and up to what fills a frame, a worker is not disturbed for less."""
    frames: list[int] = []
    ask = Worker.ask

    def counted(worker: Worker, jobs: list[Job], seconds: float) -> None:
        frames.append(len(jobs))
        ask(worker, jobs, seconds)

    async def late(turns: int) -> None:
        for _turn in range(turns):
            await asyncio.sleep(0)
        await detector.find([f"late {turns} {WORD}"])

    monkeypatch.setattr(Worker, "ask", counted)
    await asyncio.gather(*(late(turns) for turns in range(12)))

    assert sum(frames) == 12
    assert frames[0] == 8


async def test_many_callers_at_once_get_their_own(detector: Detector) -> None:
    """Requests that wait together are answered apart."""
    texts = [f"{'x ' * (n % 7)}{WORD} {n}" if n % 3 else f"nothing {n}" for n in range(300)]

    found = await asyncio.gather(*(detector.find([text]) for text in texts))

    for text, (findings,) in zip(texts, found, strict=True):
        assert [text[one.start : one.end] for one in findings] == ([WORD] if WORD in text else [])


async def test_a_long_text_is_found_whole(detector: Detector) -> None:
    """Four mebibytes pass, first and again, with every finding in its place."""
    line = f"rep: line with {WORD} and more of it\n"
    text = line * (4 * 1024 * 1024 // len(line))

    (findings,) = await detector.find([text])
    (again,) = await detector.find([text])

    assert len(findings) == text.count(WORD)
    assert all(text[one.start : one.end] == WORD for one in findings)
    assert again == findings


async def test_a_known_text_asks_nobody(detector: Detector) -> None:
    """A remembered text is answered while the only worker stands still."""
    await detector.find(["known " + WORD])
    (pid,) = workers_of(detector)
    os.kill(pid, signal.SIGSTOP)

    ((finding,),) = await detector.find(["known " + WORD])

    assert (finding.start, finding.end) == (6, 16)
    os.kill(pid, signal.SIGCONT)


async def test_a_worker_that_hangs_is_replaced_and_the_call_refused(detector: Detector) -> None:
    """Late means could not look; the next call finds again, with another process."""
    (pid,) = workers_of(detector)
    os.kill(pid, signal.SIGSTOP)

    with pytest.raises(Unavailable) as caught:
        await detector.find(["late " + WORD])
    ((finding,),) = await detector.find(["after " + WORD])

    assert caught.value.code is Code.REDACTION_UNAVAILABLE
    assert finding.start == 6
    assert pid not in workers_of(detector)


async def test_a_worker_that_dies_is_replaced_and_the_call_refused(detector: Detector) -> None:
    """A crash in the middle of a text means could not look."""
    (pid,) = workers_of(detector)
    os.kill(pid, signal.SIGSTOP)
    asked = asyncio.ensure_future(detector.find(["dies " + WORD]))
    await asyncio.sleep(0)
    await until(lambda: not detector._idle)
    os.kill(pid, signal.SIGKILL)

    with pytest.raises(Unavailable):
        await asked

    assert await detector.find(["after"]) == [[]]


async def test_neighbours_of_a_text_that_breaks_a_worker_are_asked_again(detector: Detector) -> None:
    """When several callers' texts were in one frame, each gets another chance by itself."""
    (pid,) = workers_of(detector)
    os.kill(pid, signal.SIGSTOP)

    found = await asyncio.gather(*(detector.find([f"one of {n} {WORD}"]) for n in range(3)))

    assert [len(findings) for (findings,) in found] == [1, 1, 1]
    assert pid not in workers_of(detector)


GARBAGE = {
    "not JSON": b"}",
    "no list": b"1",
    "too few": b"[]",
    "too many": b"[[],[]]",
    "span beyond the text": b"[[[0,99,0,0.5]]]",
    "empty span": b"[[[1,1,0,0.5]]]",
    "negative span": b"[[[-1,2,0,0.5]]]",
    "overlapping spans": b"[[[0,3,0,0.5],[2,4,0,0.5]]]",
    "no such category": b"[[[0,1,20,0.5]]]",
    "text for a number": b'[[["0",1,1,0.5]]]',
    "fraction": b"[[[0.5,1,1,0.5]]]",
    "short row": b"[[[0,1]]]",
    "null": b"[null, null]",
}


@pytest.mark.parametrize("payload", GARBAGE.values(), ids=GARBAGE.keys())
async def test_an_answer_that_cannot_be_is_no_answer(payload: bytes) -> None:
    """What is not the findings of the texts asked is not read as findings."""
    job = waiting.Job([b'["four"]'], ["four"], 4, asyncio.get_running_loop().create_future())

    assert workers.decoded(payload, [job]) is None
    assert workers.decoded(b"[[[0,4,6,0.9]]]", [job]) is not None
    assert workers.decoded(b"[[]]", [job]) == [[]]


async def test_garbage_is_refused_and_its_worker_replaced(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that answers what cannot be is not asked again."""
    before = workers_of(detector)
    with monkeypatch.context() as patched:
        patched.setattr(workers, "decoded", lambda _payload, _jobs: None)
        with pytest.raises(Unavailable):
            await detector.find(["text"])

    assert await detector.find(["text"]) == [[]]
    assert workers_of(detector) != before


async def test_nothing_is_refused_while_the_nursery_is_raised_again(detector: Detector) -> None:
    """When the process that forks workers is lost, they go on until it has come back by itself, and then go."""
    lost = detector._crew
    assert lost is not None
    before = workers_of(detector)
    lost.process.kill()
    await lost.gone.wait()

    meanwhile = await detector.find(["meanwhile " + WORD])
    await until(lambda: detector._crew is not lost)
    after = await detector.find(["after " + WORD])

    assert len(meanwhile[0]) == len(after[0]) == 1
    assert detector.healthy
    assert not {*before} & {*workers_of(detector)}
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before))


async def test_a_worker_lost_with_the_nursery_is_replaced(detector: Detector) -> None:
    """When both are lost, calls are refused, not passed as clean, until both are back."""
    lost = detector._crew
    assert lost is not None
    (pid,) = workers_of(detector)
    lost.process.kill()
    await lost.gone.wait()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not detector.healthy)

    with pytest.raises(Unavailable):
        await detector.find(["meanwhile"])
    await until(lambda: detector.healthy)

    assert len((await detector.find([WORD]))[0]) == 1


async def test_too_much_waiting_is_overload(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound of the queue a call is told to come again, and nothing waits without end."""
    monkeypatch.setattr(waiting, "_QUEUE", 2)
    (pid,) = workers_of(detector)
    os.kill(pid, signal.SIGSTOP)
    asked = [asyncio.ensure_future(detector.find([f"text {n}"])) for n in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable) as caught:
        await detector.find(["one too many"])

    assert caught.value.code is Code.OVERLOADED
    await asyncio.gather(*asked, return_exceptions=True)


async def test_a_caller_that_goes_away_harms_nobody(detector: Detector) -> None:
    """Cancelling one call leaves the worker to the next."""
    asked = asyncio.ensure_future(detector.find(["gone"]))
    await asyncio.sleep(0)
    asked.cancel()

    assert len((await detector.find([WORD]))[0]) == 1


async def test_after_stop_nobody_looks_and_no_process_is_left(few: dict[str, Plain]) -> None:
    """Stopping ends the processes; a call after it is refused."""
    made = Detector(few, workers=2)
    await made.start()
    await made.find(["awake"])
    pids = workers_of(made)
    await made.stop()

    with pytest.raises(Unavailable):
        await made.find(["text"])

    assert not made.healthy
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


@pytest.mark.parametrize("broken", ["rules", "examples"])
async def test_does_not_start_with_rules_that_do_not_work(few: dict[str, Plain], broken: str) -> None:
    """Rules that are invalid, or miss their own examples, never become a detector that finds nothing."""
    few["HEALTH"] = {"rules": 1} if broken == "rules" else {"examples": {"positive": ["[[missed]]"]}}

    with pytest.raises(Unavailable):
        await Detector(few).start()
