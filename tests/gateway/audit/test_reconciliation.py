"""Reconciliation: our attempts against a provider's count, by key and day; no difference is silent, no figure made up."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace

from gateway.audit.language import Sha
from gateway.audit.reconciliation import DAY, Reconciled, counted, keep_report, reconcile
from gateway.keys import sha256_hex
from tests.gateway.audit.forgeries import failed
from tests.gateway.audit.retention.states import EIGHT, SEVEN, State
from tests.gateway.audit.samples import VOCABULARY


async def compared(state: State, theirs: dict[str, int]) -> Reconciled:
    """Six calls of one day, held against that count of theirs; the report is kept and recorded."""
    for _ in range(3):
        await state.call(SEVEN)
        await state.call(EIGHT)
    state.order()
    with state.evidence() as evidence:
        records = [orjson.loads(row.text) for row in evidence.rows() if row.text is not None]
    day = state.time // DAY
    ours = counted(records, "openai-eu")
    made = reconcile("openai-eu", ours, {day: theirs}, range(day, day + 1), [b"as it came"], VOCABULARY, state.tick())
    keep_report(state.directory / "log", made.written)
    return made


@pytest.mark.parametrize(
    ("theirs", "clean"),
    [({"key-1": 6}, True), ({"key-1": 4, "key-2": 3}, True), ({"key-1": 8}, False), ({"key-1": 4}, False), ({}, False)],
)
async def test_what_differs_beyond_tolerance_is_listed(tmp_path: Path, theirs: dict[str, int], clean: bool) -> None:
    """Within one request, or half a percent, it is clean; more is named, and the log says so and still holds."""
    state = State(tmp_path / "state")
    async with state.open():
        made = await compared(state, theirs)
        assert (made.differences == (), made.act.clean) == (clean, clean)
        await state.ledger.note(made.act)

    run = state.verify()
    assert {name: run.a[name].first for name in failed(run)} == {}
    assert run.a["A13"].checked == 2
    assert any("the provider counted" in note for note in run.a["A13"].notes) is not clean


@pytest.mark.parametrize("change", ["ours", "theirs", "within", "tolerance", "gone", "clean"])
async def test_a_report_that_says_otherwise_fails(tmp_path: Path, change: str) -> None:
    """Our count made up, theirs that does not add up, a difference called none, too much tolerated: A13 fails."""
    state = State(tmp_path / "state")
    async with state.open():
        made = await compared(state, {"key-1": 9})
        tree = json.loads(made.written)
        act = made.act
        if change == "ours":
            tree["days"][0].update(attempts=9, within=True)
            act = replace(act, clean=True)
        elif change == "theirs":
            tree["days"][0]["requests"] = 6
        elif change == "within":
            tree["days"][0]["within"] = True
            act = replace(act, clean=True)
        elif change == "tolerance":
            tree["tolerance_permille"] = 1000
        elif change == "clean":
            act = replace(act, clean=True)
        written = orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)
        if change != "gone":
            keep_report(state.directory / "log", written)
        else:
            written += b" "
        await state.ledger.note(replace(act, document=Sha(sha256_hex(written))))

    assert failed(state.verify()) == {"A13"}


def test_attempts_that_were_broken_off_explain_a_difference() -> None:
    """A provider may have counted an attempt that is indeterminate or was cut off, or not."""
    records = [
        {"kind": "intent", "call": str(at), "attempt": 0, "processor": "p", "time": 5 * DAY + at} for at in range(4)
    ] + [
        {"kind": "outcome", "call": "0", "attempt": 0, "result": "indeterminate"},
        {"kind": "outcome", "call": "1", "attempt": 0, "result": "completed"},
        {"kind": "outcome", "call": "2", "attempt": 0, "result": "aborted_by_caller"},
    ]

    (found,) = counted(records, "p").values()

    assert (found.attempts, found.explained) == (4, 2)
    assert counted(records, "q") == {}
