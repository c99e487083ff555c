"""Calls: filters with counts, a timeline, a list by keyset, each call with its records and its proof, and exports."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from gateway.audit.export import FORMATS, Record, csv_head
from gateway.audit.log_store import LogReader
from gateway.audit.merkle import leaf_hash
from gateway.audit.pages import Line
from gateway.audit.store import RSEQ_BITS
from gateway.audit.tlog import TILE
from gateway.web.asking import Answer, Ask, NotHere, Shown, Taken, words_of
from gateway.web.charts import timeline
from gateway.web.house import LogState, state_of
from gateway.web.parameters import GRAMMARS, BadParameter, address, place
from gateway.web.proof import Proof, facts_of, proof_of

ROWS = 50
MOST_EXPORTED = 100_000
FACETS = (
    ("tenant", "Tenant"), ("decision", "Decision"), ("end", "Outcome"), ("processor", "Processor"),
    ("countries", "Countries"), ("model", "Model"), ("purpose", "Purpose"), ("caller", "Caller"),
    ("operation", "Operation"), ("agreement", "Agreement"), ("source", "Rule"),
)  # fmt: skip
NAMES = {"csv": "records.csv", "ndjson": "records.ndjson", "ocsf": "records.ocsf.jsonl"}
KINDS = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson", "ocsf": "application/x-ndjson"}


def answer(ask: Ask) -> Answer:
    """The list, one call, or a file."""
    if ask.parts and ask.parts[0] == "export" and len(ask.parts) == 1:
        return _export(ask)
    if ask.parts:
        return _call(ask)
    if "call" in ask.given:
        return _found(ask, ask.given["call"])
    return listing(ask, "calls.html", "Calls", "/calls")


def listing(ask: Ask, template: str, title: str, path: str, **more: object) -> Shown:
    """A page that lists attempts and refusals."""
    filters = ask.filters
    counts = ask.view.counts(filters)
    after, before = place(ask.given.get("after")), place(ask.given.get("before"))
    if after and before:
        raise BadParameter("before", "after and before are two places; give one.")
    lines = ask.view.lines(filters, after=after, before=before, most=ROWS + 1)
    further = len(lines) > ROWS
    lines = (lines[1:] if before else lines[:ROWS]) if further else lines
    settled = {name: value for name, value in ask.settled.items() if name != "format"}
    older = address(path, settled, after=_place(lines[-1]), before=None) if lines and (further or before) else None
    newer = (
        address(path, settled, before=_place(lines[0]), after=None)
        if lines and (after or (before and further))
        else None
    )
    facts: dict[str, object] = {
        "path": path,
        "filters": filters,
        "lines": lines,
        "facets": [(name, label, counts.facet(name)) for name, label in FACETS],
        "chosen": filters.values,
        "given": settled,
        "chart": timeline(counts.bars, "Attempts and refusals over the period"),
        "bars": counts.bars,
        "total": counts.total,
        "in_period": counts.in_period,
        "older": older,
        "newer": newer,
        "address": address,
        **more,
    }
    return Shown(template, title, words_of("attempts and refusals", filters), counts.total.rows, facts, settled)


def _found(ask: Ask, call: str) -> Shown:
    """The list that a search for an id gives: its one call, wherever it is in time."""
    lines = ask.view.call(call)
    facts: dict[str, object] = {
        "path": "/calls", "filters": ask.filters, "lines": lines, "facets": [], "chosen": (("call", call),),
        "given": {"call": call}, "chart": "", "bars": [], "total": None, "in_period": None, "older": None,
        "newer": None, "address": address,
    }  # fmt: skip
    return Shown("calls.html", "Calls", f"the call {call}", len(lines), facts, {"call": call})


def _call(ask: Ask) -> Answer:
    try:
        call = GRAMMARS["call"](ask.parts[0])
    except ValueError:
        raise NotHere from None
    lines = ask.view.call(call)
    if not lines:
        raise NotHere
    if len(ask.parts) == 2:
        return _proof_file(ask, call, lines)
    with ask.house.log() as log:
        signed = None if log is None else log.latest()
        attempts = [_attempt(ask, line, log) for line in lines]
    state = state_of(ask.house.bundle.origin, signed)
    facts: dict[str, object] = {
        "call": call, "attempts": attempts, "log": state, "verifier_key": ask.house.verifier_key,
        "mine": ask.viewer.may("configuration"),
    }  # fmt: skip
    return Shown("call.html", f"Call {call[:8]}", f"the call {call}: its records, and their proofs", len(lines), facts)


def _attempt(ask: Ask, line: Line, log: LogReader | None) -> dict[str, object]:
    texts = ask.view.texts(line)
    signed = None if log is None else log.latest()
    records: list[dict[str, object]] = []
    for seq, text in ((line.seq, texts.begin), (line.outcome, texts.end)):
        if seq is None:
            continue
        proof = None if text is None or log is None or signed is None else proof_of(log, seq, text, signed)
        records.append(
            {
                "kind": "erased" if text is None else orjson.loads(text)["kind"],
                "fields": [] if text is None else facts_of(proof.text if proof else text),
                "boot": seq >> RSEQ_BITS,
                "proof": proof,
            }
        )
    begin = {} if texts.begin is None else orjson.loads(texts.begin)
    return {
        "line": line, "records": records, "configuration": begin.get("configuration"), "source": begin.get("source"),
        "wire": begin.get("wire"),
    }  # fmt: skip


def _proof_file(ask: Ask, call: str, lines: list[Line]) -> Taken:
    """`/calls/CALL/proof-N`: the proof of the Nth record of the call, from 0."""
    proofs: list[Proof] = []
    with ask.house.log() as log:
        signed = None if log is None else log.latest()
        if log is None or signed is None:
            raise NotHere
        for line in lines:
            texts = ask.view.texts(line)
            for seq, text in ((line.seq, texts.begin), (line.outcome, texts.end)):
                proof = None if seq is None or text is None else proof_of(log, seq, text, signed)
                if proof is not None:
                    proofs.append(proof)
    name, _dash, number = ask.parts[1].partition("-")
    if name != "proof" or number not in {str(at) for at in range(len(proofs))}:
        raise NotHere
    proof = proofs[int(number)]
    return Taken(
        f"{call}-{proof.index}.tlog-proof", "text/plain; charset=utf-8", f"the proof of leaf {proof.index}", 1,
        iter([proof.file.encode()]),
    )  # fmt: skip


def _export(ask: Ask) -> Taken:
    if "format" not in ask.given:
        raise BadParameter("format", "format is csv, ndjson or ocsf.")
    written, filters = ask.given["format"], ask.filters
    counts = ask.view.counts(filters)
    if counts.total.rows > MOST_EXPORTED:
        raise BadParameter(
            "from", f"More than {MOST_EXPORTED:,} rows match. Narrow the period, or use `gateway audit export`."
        )
    words = words_of("records of attempts and refusals", filters)
    blocks = _blocks(ask, written, words, counts.total.rows)
    return Taken(
        NAMES[written],
        KINDS[written],
        words,
        counts.total.rows,
        blocks,
        ask.settled,
    )


def _blocks(ask: Ask, written: str, words: str, rows: int) -> Iterator[bytes]:
    line_of = FORMATS[written]
    with ask.house.log() as log:
        signed = None if log is None else log.latest()
        state = state_of(ask.house.bundle.origin, signed)
        yield _head(ask, written, words, rows, state)
        leaves = _Leaves(log, state)
        held: list[str] = []
        for line in ask.view.walk(ask.filters):
            texts = ask.view.texts(line)
            for seq, text in ((line.seq, texts.begin), (line.outcome, texts.end)):
                if seq is not None and text is not None:
                    held.append(line_of(leaves.record(seq, text)))
            if len(held) >= 256:
                yield ("\n".join(held) + "\n").encode()
                held = []
        if held:
            yield ("\n".join(held) + "\n").encode()


class _Leaves:
    """The leaves of records that stand near one another in the log: a bundle is read once."""

    def __init__(self, log: LogReader | None, state: LogState) -> None:
        self._log, self._state = log, state
        self._last = -1 if log is None else log.last_seq
        self._bundles: dict[int, list[bytes]] = {}

    def record(self, seq: int, text: str) -> Record:
        """A record as exports have it: with the log, and with index and hash of its leaf once it is signed."""
        record: Record = {"log": self._state.origin, "index": None, "leaf": None}
        if self._log is not None and seq <= self._last:
            index = self._log.index_of(seq)
            if index < self._state.size:
                record["index"], record["leaf"] = index, leaf_hash(self._entry(self._log, index)).hex()
        record.update(orjson.loads(text))
        return record

    def _entry(self, log: LogReader, index: int) -> bytes:
        position = index // TILE
        if position not in self._bundles:
            if len(self._bundles) >= _BUNDLES:
                del self._bundles[next(iter(self._bundles))]
            self._bundles[position] = log.entries(position)
        return self._bundles[position][index % TILE]


_BUNDLES = 8


def _head(ask: Ask, written: str, words: str, rows: int, state: LogState) -> bytes:
    """What every export begins with: the query in words, rows matched, log size and root, time and role."""
    facts = {
        "query": words, "address": address("/calls", ask.settled, format=None), "rows": str(rows), "log": state.origin,
        "size": str(state.size), "root": state.root, "made": f"{ask.now:%Y-%m-%dT%H:%M:%SZ}", "as": ask.viewer.words,
    }  # fmt: skip
    if written == "csv":
        return ("".join(f"# {name}: {value}\n" for name, value in facts.items()) + csv_head() + "\n").encode()
    return orjson.dumps({"kind": "export", **facts}) + b"\n"


def _place(line: Line) -> str:
    return f"{line.time}-{line.seq}"
