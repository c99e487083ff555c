"""Reconciliation: our attempts against a provider's count, by key and day; no difference is silent, no figure made up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace

from gateway.audit.language import Sha
from gateway.audit.reconciliation import DAY, Reconciled, act_of, counted, keep_report, reconcile
from gateway.audit.words import Processor
from gateway.keys import sha256_hex
from providers import USAGE
from providers.usage import UsageReport, Used
from tests.gateway.audit.forgeries import failed
from tests.gateway.audit.retention.states import EIGHT, SEVEN, State
from tests.gateway.audit.samples import VOCABULARY, outcome

BY_REQUEST, BY_TOKENS = USAGE.values()
OPENAI_EU = VOCABULARY.word(Processor, "openai-eu")
IN, OUT = 812, 96
"""The tokens of every call here."""


async def call(state: State, tenant: str) -> None:
    """A call from intent to outcome, with its tokens."""
    made = state.intent(tenant)
    admission = await state.ledger.admit(made)
    ended = replace(outcome(made, time=state.tick()), input_tokens=IN, output_tokens=OUT)
    await state.ledger.conclude(admission, ended)


def used(day: int, *keys: tuple[str, int]) -> list[Used]:
    """So many requests by each key, of the size of the samples."""
    return [Used(day, key, requests, requests * IN, requests * OUT) for key, requests in keys]


async def compared(state: State, theirs: Iterable[tuple[str, int]], report: UsageReport = BY_REQUEST) -> Reconciled:
    """Six calls of one day, held against that count of theirs; the report is kept."""
    for _ in range(3):
        await call(state, SEVEN)
        await call(state, EIGHT)
    state.order()
    with state.evidence() as evidence:
        records = [orjson.loads(row.text) for row in evidence.rows() if row.text is not None]
    day = state.time // DAY
    ours = counted(records, "openai-eu")
    days = range(day, day + 1)
    made = reconcile("openai-eu", ours, used(day, *theirs), report, ["key-1", "key-2"], days, [b"as it came"])
    keep_report(state.directory / "log", made.written)
    return made


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        ([("key-1", 6)], []),
        ([("key-1", 4), ("key-2", 3)], []),
        ([("key-1", 8)], ["more_requests", "more_input", "more_output"]),
        ([("key-1", 4)], ["fewer_requests", "fewer_input", "fewer_output"]),
        ([], ["fewer_requests", "fewer_input", "fewer_output"]),
        ([("key-1", 5), ("key-3", 1)], ["foreign_key"]),
    ],
)
async def test_what_differs_beyond_tolerance_is_listed(
    tmp_path: Path, theirs: list[tuple[str, int]], why: list[str]
) -> None:
    """Within one request, or half a percent, it is clean; more is named, and the log says so and still holds."""
    state = State(tmp_path / "state")
    async with state.open():
        made = await compared(state, theirs)
        act = act_of(made.written, OPENAI_EU, state.tick())
        assert (json.loads(made.written)["days"][0]["why"], bool(made.differences), act.clean) == (
            why,
            bool(why),
            not why,
        )
        await state.ledger.note(act)

    run = state.verify()
    assert {name: run.a[name].first for name in failed(run)} == {}
    assert run.a["A13"].checked == 2
    assert any("the provider counted" in note for note in run.a["A13"].notes) is bool(why)


CHANGES = {
    "our attempts": lambda row: row.update(attempts=9),
    "what may explain it": lambda row: row.update(explained=9),
    "what ended later": lambda row: row.update(late=3),
    "what ended earlier": lambda row: row.update(early=3),
    "our tokens": lambda row: row["tokens"].__setitem__(0, 9 * IN),
    "our greatest attempt": lambda row: row["peaks"].__setitem__(1, 10**6),
    "their requests": lambda row: row.update(requests=6),
    "their tokens": lambda row: row["said"].__setitem__(0, 6 * IN),
    "that it differs": lambda row: row.update(why=[]),
    "how it differs": lambda row: row.update(why=["fewer_requests"]),
    "what is not counted": lambda row: row.update(not_counted=3),
}


@pytest.mark.parametrize("change", [*CHANGES, "tolerance", "keys", "operations", "gone", "clean", "form"])
async def test_a_report_that_says_otherwise_fails(tmp_path: Path, change: str) -> None:
    """A count of ours made up, theirs that does not add up, a difference called none, too much tolerated: A13 fails."""
    state = State(tmp_path / "state")
    async with state.open():
        made = await compared(state, [("key-1", 9), ("key-9", 1)])
        tree = json.loads(made.written)
        act = act_of(made.written, OPENAI_EU, state.tick())
        if change in CHANGES:
            CHANGES[change](tree["days"][0])
            act = replace(act, clean=not tree["days"][0]["why"])
        elif change == "tolerance":
            tree["tolerance_permille"] = 1000
        elif change == "keys":
            tree["gateway_keys"] = ["key-1", "key-9"]
        elif change == "operations":
            tree["operations"] = []
        elif change == "clean":
            act = replace(act, clean=True)
        elif change == "form":
            del tree["days"][0]["keys"]
        written = orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)
        if change != "gone":
            keep_report(state.directory / "log", written)
        else:
            written += b" "
        await state.ledger.note(replace(act, document=Sha(sha256_hex(written))))

    assert failed(state.verify()) == {"A13"}


async def test_a_report_of_tokens_alone_is_held_against_tokens(tmp_path: Path) -> None:
    """Where a provider counts no requests its tokens are compared; of operations that it does not count, it is told."""
    state = State(tmp_path / "state")
    async with state.open():
        made = await compared(state, [("key-1", 6)], BY_TOKENS)
        await state.ledger.note(act_of(made.written, OPENAI_EU, state.tick()))
    row = json.loads(made.written)["days"][0]

    assert (row["requests"], row["attempts"], row["not_counted"]) == (None, 0, 6)
    assert row["why"] == ["more_input", "more_output"]
    run = state.verify()
    assert failed(run) == set()
    assert any("does not count 6 attempts" in note for note in run.a["A13"].notes)


def test_what_may_explain_a_difference_is_counted() -> None:
    """An attempt that was refused, cut off, is indeterminate or open; and one that ended on another day than it began."""
    day = 5 * DAY
    made = {
        "0": ("indeterminate", day + DAY),
        "1": ("completed", day),
        "2": ("aborted_by_caller", day),
        "3": ("refused_by_provider", day),
        "4": ("completed", day + DAY),
    }
    records: list[dict[str, object]] = [
        {"kind": "intent", "call": call, "attempt": 0, "processor": "p", "operation": "o", "time": day}
        for call in [*made, "5"]
    ] + [
        {"kind": "outcome", "call": call, "attempt": 0, "result": result, "time": at, "input_tokens": int(call)}
        for call, (result, at) in made.items()
    ]

    found = counted(records, "p")

    here, after = found[5, "o"], found[6, "o"]
    assert (here.attempts, here.explained, here.late, here.early) == (6, 4, 1, 0)
    assert (here.tokens["input"], here.peaks["input"]) == (10, 4)
    assert (after.attempts, after.explained, after.late, after.early) == (0, 0, 0, 1)
    assert counted(records, "q") == {}


async def test_an_auditor_counts_what_explains_it_anew(tmp_path: Path) -> None:
    """Attempts that were cut off, that are open, and that ended after midnight are what the log itself says of them."""
    state = State(tmp_path / "state")
    state.time = (state.time // DAY + 1) * DAY - 20_000_000
    day = state.time // DAY
    async with state.open():
        made = state.intent(SEVEN)
        admission = await state.ledger.admit(made)
        hanging = await state.ledger.admit(state.intent(SEVEN))
        state.time += 60_000_000
        await state.ledger.conclude(admission, outcome(made, time=state.tick()))
        state.order()
        with state.evidence() as evidence:
            records = [orjson.loads(row.text) for row in evidence.rows() if row.text is not None]
        report = reconcile(
            "openai-eu", counted(records, "openai-eu"), [Used(day + 1, "key-1", 1, 0, 0)], BY_REQUEST, ["key-1"],
            range(day, day + 2), [],
        )  # fmt: skip
        keep_report(state.directory / "log", report.written)
        await state.ledger.note(act_of(report.written, OPENAI_EU, state.tick()))
        rows = json.loads(report.written)["days"]
        assert [(row["attempts"], row["explained"], row["late"], row["early"], row["why"]) for row in rows] == [
            (2, 1, 1, 0, []),
            (0, 0, 0, 1, []),
        ]
        assert hanging.attempt == 0

    assert failed(state.verify()) == set()
