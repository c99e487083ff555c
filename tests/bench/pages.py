"""What the auditor's pages cost on many calls: the index filled with made-up calls, then every kind of page timed.

`python -m tests.bench.pages DIRECTORY 10000 100000 1000000` fills and measures each size in turn, in one process at
the lowest priority; the file of each size is left in the directory, so that a second run only measures.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import orjson

from gateway.audit.index import INDEX_FILE, Index, _Batch
from gateway.audit.pages import Pages
from gateway.audit.periods import DAY
from gateway.audit.scope import Scope
from gateway.audit.store import RSEQ_BITS, SqliteStore, line
from gateway.audit.words import Role
from gateway.config import load
from gateway.web.asking import Ask
from gateway.web.frame import Frame
from gateway.web.house import state_of
from gateway.web.pages import PAGES
from gateway.web.viewer import Viewer
from providers import PROVIDERS
from tests.configuration import write_configuration

KEY = bytes(range(32))
END = 1_795_000_000_000_000 // DAY * DAY + 37_000_000_000
DAYS = 395
TENANTS = [f"t-{number:04d}" for number in range(200)]
MODELS = [
    ("openai", "chat.completions", "gpt-5.2-2026-01-15", "openai-eu", "openai-eu-2026-02", ["DE", "FR", "IE"]),
    ("openai", "responses", "gpt-5.2-2026-01-15", "openai-us", "openai-us-2026-01", ["US"]),
    ("openai", "embeddings", "text-embedding-4", "openai-eu", "openai-eu-2026-02", ["DE", "FR", "IE"]),
    ("anthropic", "messages", "claude-sonnet-5", "anthropic-eu", "anthropic-eu-2026-03", ["FR", "IE"]),
    ("anthropic", "messages", "claude-haiku-5", "anthropic-us", "anthropic-us-2026-03", ["US"]),
]
RESULTS = ["completed"] * 94 + ["refused_by_provider"] * 2 + ["aborted_by_caller"] * 2 + ["upstream_failed", "cut_off"]
CODES = ["parameter_retains_data"] * 5 + ["residency_mismatch"] * 2 + ["content_not_scannable", "rate_limited"]
PURPOSES = ["call_summary", "coaching_feedback", "objection_analysis", "question_answering"]
CALLERS = ["coach-service", "notes-service", "search-service"]


def calls(count: int, seed: int = 7) -> Iterator[tuple[int, str, str]]:
    """(time, letter of the kind, record) of `count` calls over 13 months, a few tenants having most of them."""
    chance = random.Random(seed)
    weights = [1 / (rank + 3) for rank in range(len(TENANTS))]
    owners = chance.choices(TENANTS, weights, k=4096)
    start = END - DAYS * DAY
    step = DAYS * DAY // count
    for number in range(count):
        at = start + number * step
        tenant = owners[chance.getrandbits(12)]
        wire, operation, model, processor, agreement, countries = MODELS[(int(tenant[2:]) + chance.getrandbits(1)) % 5]
        call = f"{at // 1000 << 80 | 7 << 76 | number:032x}"
        shared = {"call": call, "tenant": tenant, "v": 1}
        asked = {
            "caller": CALLERS[chance.getrandbits(4) % 3],
            "purpose": PURPOSES[chance.getrandbits(2)],
            "wire": wire,
            "operation": operation,
            "configuration": "c0" * 32,
            "key": "00112233aabbccdd",
        }
        if chance.getrandbits(5) == 0:
            code = CODES[chance.getrandbits(10) % len(CODES)]
            yield at, "r", _text({**shared, **asked, "kind": "refusal", "time": at, "code": code})
            continue
        intent = {
            **shared, **asked, "kind": "intent", "time": at, "attempt": 0, "processor": processor, "model": model,
            "agreement": agreement, "countries": countries, "tls": "TLSv1.3", "stream": True, "size": 1024,
            "redactions": chance.getrandbits(2),
        }  # fmt: skip
        yield at, "i", _text(intent)
        result = RESULTS[chance.getrandbits(10) % len(RESULTS)]
        outcome = {
            **shared, "kind": "outcome", "time": at + 900_000, "attempt": 0, "result": result, "status": 200,
            "input_tokens": chance.getrandbits(11), "output_tokens": chance.getrandbits(9), "total_ms": 900,
        }  # fmt: skip
        yield at + 900_000, "o", _text(outcome)


def _text(record: dict[str, object]) -> str:
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode()


def fill(state: Path, count: int) -> float:
    """Fill the index of `state` with `count` calls, past a journal that has none of them; seconds of processor."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (state / "journal").exists():
        store = SqliteStore(state / "journal", KEY)
        store.begin([line(END - DAYS * DAY, "operator", None, 0, _text({"act": "boot", "kind": "operator"}))])
        store.close()
    index = Index(state, KEY, KEY)
    began = time.process_time()
    if index.last < 0:
        index.step()
        batch, held = _Batch(), 0
        for rseq, (at, kind, text) in enumerate(calls(count), 1):
            index._take(batch, 1 << RSEQ_BITS | rseq, at, kind, text)
            held += 1
            if held == 20_000:
                with index._connection:
                    index._write(batch)
                batch, held = _Batch(), 0
        with index._connection:
            index._write(batch)
        index._connection.wal_checkpoint()
    index.close()
    return time.process_time() - began


YEAR = {"from": "2025-11-01"}
ASKED: dict[str, list[dict[str, str]]] = {
    "overview": [{}, YEAR],
    "calls": [
        {},
        {"decision": "refuse"},
        {"end": "cut_off", "caller": "search-service"},
        {**YEAR, "tenant": "t-0003"},
        YEAR,
        {**YEAR, "end": "content_not_scannable"},
        {"after": f"{END - 9 * DAY}-0"},
    ],
    "denials": [{}],
    "agreements": [{}],
    "endpoints": [{}, YEAR],
    "redactions": [{}],
    "retention": [{}],
}
"""Pages and what they are asked. `end` and `caller` together are a needle in the hay."""


def measure(state: Path, repeat: int = 5) -> list[tuple[str, list[float]]]:
    """(page, each time) milliseconds of processor of whole pages, read, counted and rendered, nothing remembered."""
    pages, frame = Pages(state, KEY, KEY), Frame()
    with pages.view(Scope.of([])):  # what the kinds are is read once a process
        pass
    found: list[tuple[str, list[float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        bundle = load(write_configuration(Path(folder), 1, "x"), {}, wires=PROVIDERS)
    house = SimpleNamespace(
        state=state, clock=lambda: END, log_state=lambda: state_of("x", None), bundle=bundle, pages=pages,
    )  # fmt: skip
    for whose, scope in (("everyone", Scope.everyone()), ("a tenant", Scope.of([TENANTS[3]]))):
        viewer = Viewer(Role.SECURITY, scope, "who", "0" * 32, "token")
        for name, asked in ASKED.items():
            for given in asked:
                taken = [_timed(house, frame, viewer, name, given) for _each in range(repeat)]
                words = " ".join(f"{key}={value}" for key, value in given.items())
                found.append((f"{whose}: {name} {words}", taken))
    pages.close()
    return found


def _timed(house: SimpleNamespace, frame: Frame, viewer: Viewer, name: str, given: dict[str, str]) -> float:
    house.pages.forget()
    began = time.process_time()
    with house.pages.view(viewer.scope) as view:
        shown = PAGES[name].answer(Ask(viewer, view, house, given, (), datetime.fromtimestamp(END / 1e6, UTC)))
    about = {
        "nav": [], "viewer": viewer, "base": "", "idle_minutes": 1, "origin": "x", "form_token": "", "may": viewer.may,
        "page_name": name, "title": name, "about": None,
    }  # fmt: skip
    frame.render(shown.template, {**shown.facts, **about})
    return (time.process_time() - began) * 1000


def main() -> None:
    """Fill and measure the sizes that are named."""
    os.nice(19)
    directory, *sizes = sys.argv[1:]
    for size in map(int, sizes):
        state = Path(directory) / str(size)
        seconds = fill(state, size)
        megabytes = (state / "pages" / INDEX_FILE).stat().st_size / 1e6
        rows = measure(state)
        every = sorted(one for _what, taken in rows for one in taken)
        p95, worst = every[len(every) * 95 // 100], every[-1]
        print(
            f"{size:>10} calls: filled in {seconds:.1f} s, {megabytes:.0f} MB; pages p50 {statistics.median(every):.0f} ms, "
            f"p95 {p95:.0f} ms, the slowest once {worst:.0f} ms"
        )
        for what, taken in rows:
            print(f"    {what:70} {statistics.median(taken):7.1f} {max(taken):7.1f}")


if __name__ == "__main__":
    main()
