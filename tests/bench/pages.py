"""What the auditor's pages cost on many calls: index, journal and log of made-up calls, then every kind of page timed.

`python -m tests.bench.pages DIRECTORY 10000 100000 1000000` fills and measures each size in turn, in one process at
the lowest priority; the files of each size are left in the directory, so that a second run only measures.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from gateway.audit.access import AccessBook
from gateway.audit.export import FORMATS
from gateway.audit.index import Index, _Batch
from gateway.audit.log_store import LogReader
from gateway.audit.pages import Pages
from gateway.audit.periods import DAY
from gateway.audit.scope import Scope
from gateway.audit.store import RSEQ_BITS, SqliteStore, line
from gateway.audit.words import Role
from gateway.config import Bundle, load
from gateway.web.asking import Ask, Taken
from gateway.web.frame import Frame
from gateway.web.house import LogState, state_of
from gateway.web.pages import PAGES
from gateway.web.viewer import Viewer
from providers import PROVIDERS
from tests.bench.record import ORIGIN, settle, spread
from tests.configuration import entry, purpose, write_configuration

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


def calls(count: int, seed: int = 7, first: int = 0) -> Iterator[tuple[int, str, str]]:
    """(time, letter of the kind, record) of `count` calls, from the `first` on, over 13 months, a few tenants having most."""
    chance = random.Random(seed)
    weights = [1 / (rank + 3) for rank in range(len(TENANTS))]
    owners = chance.choices(TENANTS, weights, k=4096)
    start = END - DAYS * DAY
    step = DAYS * DAY // count
    for number in range(first, count):
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
    "denials": [{}, YEAR],
    "agreements": [{}],
    "endpoints": [{}, YEAR],
    "redactions": [{}, YEAR],
    "attestations": [{}],
    "configuration": [{}],
    "integrity": [{}],
    "retention": [{}],
    "access": [{}],
    "reports": [{}],
}
"""Pages and what they are asked. `end` and `caller` together are a needle in the hay."""

EXPORTED = {"from": "2026-11-17", "decision": "refuse"}
"""What is exported: some days' refusals, of which the first lines are timed; the rest comes as it is taken."""


@dataclass(frozen=True)
class House:
    """What a page reads, without the keys and the running index that `gateway web` has."""

    state: Path
    bundle: Bundle
    pages: Pages
    book: AccessBook
    verifier_key: str = "none"

    @contextlib.contextmanager
    def log(self) -> Iterator[LogReader]:
        """The log at one moment."""
        with LogReader.read(self.state / "log", KEY) as log:
            yield log

    def log_state(self) -> LogState:
        """What the log says of itself."""
        with self.log() as log:
            return state_of(ORIGIN, log.latest())

    def clock(self) -> int:
        """The end of what there is."""
        return END


def bundled(folder: Path) -> Bundle:
    """A configuration with every processor and tenant that the calls name."""
    directory = write_configuration(folder, 1, "x")
    settings = json.loads((directory / "gateway.yaml").read_text("utf-8"))
    settings["purposes"] = {name: purpose() for name in (*PURPOSES, *settings["purposes"])}
    (directory / "gateway.yaml").write_text(json.dumps(settings), "utf-8")
    for name, agreement in {(model[3], model[4]) for model in MODELS}:
        models = [model for model in MODELS if model[3] == name]
        tree = entry(
            models[0][0], "http://127.0.0.1:1", {model[2] for model in models}, name=name, countries=models[0][5]
        )
        tree["agreements"][0].update({"id": agreement, "valid_from": "2025-01-01"})  # type: ignore[index]
        (directory / "processors" / f"{name}.yaml").write_text(json.dumps(tree), "utf-8")
    whose = json.loads((directory / "tenants.yaml").read_text("utf-8"))
    places = (["CA"], ["EU27"], ["US", "CA"], ["EEA_CH"])
    whose["tenants"] |= {
        name: {"residency": places[at % len(places)], "status": "active"} for at, name in enumerate(TENANTS)
    }
    (directory / "tenants.yaml").write_text(json.dumps(whose), "utf-8")
    return load(directory, {}, wires=PROVIDERS)


def measure(state: Path, bundle: Bundle, repeat: int = 20) -> list[tuple[str, list[float]]]:
    """(page, each time) milliseconds of processor of whole pages, read, counted and rendered, nothing remembered."""
    house, frame = House(state, bundle, Pages(state, KEY, KEY), AccessBook(state, KEY)), Frame()
    with house.pages.view(Scope.of([])):  # what the kinds are is read once a process
        pass
    calls = spread(state, KEY, END - DAYS * DAY, END)
    digests = [path.stem for path in sorted((state / "log" / "configurations").glob("*.json"))]
    with house.log() as log:
        sizes = [signed.size for back in range(1, 300, 15) if (signed := log.signed_before(END - back * DAY))]
    found: list[tuple[str, list[float]]] = []
    for whose, scope in (("everyone", Scope.everyone()), ("a tenant", Scope.of([TENANTS[3]]))):
        viewer = Viewer(Role.SECURITY, scope, "5e" * 16, "0" * 32, "token")
        if scope == Scope.everyone():
            one = [_timed(house, frame, viewer, "calls", {}, (call,)) for call in calls]
            found.append(("everyone: a call with its proofs, of all times", one))
            one = [_timed(house, frame, viewer, "integrity", {"at": str(size)}) for size in sizes]
            found.append(("everyone: integrity, from older checkpoints", one))
            one = [_timed(house, frame, viewer, "configuration", {}, (digest,)) for digest in digests]
            found.append(("everyone: a configuration and its difference", one))
        for written in FORMATS:
            asked = {**EXPORTED, "format": written}
            one = [_timed(house, frame, viewer, "calls", asked, ("export",)) for _each in range(repeat)]
            found.append((f"{whose}: export {written}, to its first 256 lines", one))
        for name, asked_of in ASKED.items():
            for given in asked_of:
                one = [_timed(house, frame, viewer, name, given) for _each in range(repeat)]
                words = " ".join(f"{key}={value}" for key, value in given.items())
                found.append((f"{whose}: {name} {words}", one))
    house.pages.close()
    house.book.close()
    return found


def _timed(
    house: House, frame: Frame, viewer: Viewer, name: str, given: dict[str, str], parts: tuple[str, ...] = ()
) -> float:
    house.pages.forget()
    began = time.process_time()
    with house.pages.view(viewer.scope) as view:
        asked = Ask(viewer, view, house, given, parts, datetime.fromtimestamp(END / 1e6, UTC))  # type: ignore[arg-type]
        shown = PAGES[name].answer(asked)
        if isinstance(shown, Taken):
            for _block, _each in zip(range(2), shown.blocks, strict=False):
                pass
            return (time.process_time() - began) * 1000
    house.book.note(viewer.session, "view", name, "0" * 64, shown.rows, END)
    facts = {
        "nav": [(page.name, page.title) for page in PAGES.values()], "viewer": viewer, "base": "", "idle_minutes": 1,
        "origin": ORIGIN, "form_token": "", "may": viewer.may, "page_name": name, "title": name,
        "about": {
            "words": shown.words, "permalink": name, "rows": shown.rows, "log": house.log_state(), "made": END,
            "left_minutes": 9,
        },
    }  # fmt: skip
    frame.render(shown.template, {**shown.facts, **facts})
    return (time.process_time() - began) * 1000


def p95(taken: Sequence[float]) -> float:
    """Of twenty, the second slowest."""
    return sorted(taken)[-(len(taken) // 20 + 1)]


def main() -> None:
    """Fill and measure the sizes that are named."""
    os.nice(19)
    directory, *sizes = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        bundle = bundled(Path(folder))
    for size in map(int, sizes):
        state = Path(directory) / str(size)
        seconds = fill(state, size)
        settle(state, KEY, size * 2, END - DAYS * DAY, END, bundle)
        megabytes = sum(path.stat().st_size for path in state.rglob("*") if path.is_file()) / 1e6
        rows = measure(state, bundle)
        every = [one for _what, taken in rows for one in taken]
        worst, slowest = max((p95(taken), what) for what, taken in rows)
        print(
            f"{size:>10} calls: filled in {seconds:.1f} s, {megabytes:.0f} MB; pages p50 {statistics.median(every):.0f} ms, "
            f"p95 {p95(every):.0f} ms; p95 of the slowest page {worst:.0f} ms ({slowest})"
        )
        for what, taken in rows:
            print(f"    {what:70} {statistics.median(taken):7.1f} {p95(taken):7.1f}")


if __name__ == "__main__":
    main()
