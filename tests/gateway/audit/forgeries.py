"""Forged evidence: one change at random of a named kind, and the assertions that must notice it.

Two forgers. One may change every byte but has no key: the log's tree stands against them. The other
holds the log's key, and signs a whole new log; what the records say of each other stands against them.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from gateway.audit.edge import Edge
from gateway.audit.log_store import Batch
from gateway.audit.tlog import Checkpoint, verifier_key
from gateway.audit.verify import Assertion, Policy, Verification, verify
from gateway.keys import Signer
from tests.gateway.audit.logs import ORIGIN, SIGNER

POLICY = Policy(f"log {verifier_key(ORIGIN, SIGNER.public)}\nquorum none\n")


@dataclass(frozen=True)
class Leaf:
    """A leaf and what is said to be behind it."""

    entry: bytes
    salt: bytes | None
    text: str | None

    @property
    def record(self) -> dict[str, object]:
        """The record."""
        read: dict[str, object] = json.loads(self.text if self.text is not None else self.entry[1:])
        return read

    @property
    def clear(self) -> bool:
        """Whether it is an operator's fact."""
        return self.entry[:1] == b"\2"

    def saying(self, text: str) -> Leaf:
        """The leaf of an insider who has another record."""
        if self.clear:
            return replace(self, entry=b"\2" + text.encode(), text=None)
        assert self.salt is not None
        digest = hashlib.sha256(b"zr-audit/v1\0" + self.salt + text.encode()).digest()
        return replace(self, entry=b"\1" + digest, text=text)


@dataclass
class Evidence:
    """What the verifier is given, from the beginning of a log."""

    rows: list[Leaf]
    note_b: str
    configurations: dict[str, bytes]
    report: dict[str, object] | None = None
    note_a: str | None = None
    start: int = 0
    peaks: list[tuple[int, bytes]] = field(default_factory=list)
    prior: list[tuple[int, bytes, list[bytes]]] = field(default_factory=list)
    lists: dict[str, bytes] = field(default_factory=dict)
    reports: dict[str, bytes] = field(default_factory=dict)
    later: tuple[str, list[bytes], list[tuple[int, bytes, list[bytes]]]] | None = None
    stamps: list[tuple[str, bytes, list[bytes] | None]] = field(default_factory=list)
    roots: str = ""

    @property
    def end(self) -> int:
        return len(self.rows)

    def leaves(self) -> Iterator[tuple[bytes, bytes | None, str | None]]:
        return ((each.entry, each.salt, each.text) for each in self.rows)

    def check_files(self, a1: Assertion, policy: Policy) -> None:
        """Files are the pack's own tests."""

    def counted(self) -> dict[str, int]:
        """What a database would count."""
        records = [each.record for each in self.rows if each.clear or each.text]
        return {"operator": sum(record["kind"] == "operator" for record in records)}

    def verify(self) -> Verification:
        return verify(self, POLICY)

    def signed(self, signer: Signer = SIGNER) -> Evidence:
        """The same under a checkpoint that fits, by whoever holds the key."""
        return replace(self, note_b=checkpoint([each.entry for each in self.rows], signer))


def checkpoint(entries: list[bytes], signer: Signer = SIGNER) -> str:
    """A signed checkpoint over entries."""
    edge = Edge()
    edge.append(entries, Batch())
    return Checkpoint(ORIGIN, edge.size, edge.root).sign(signer)


def failed(run: Verification) -> set[str]:
    """The assertions that do not hold."""
    return {name for name, held in run.a.items() if held.failed}


Forge = Callable[[Evidence, random.Random], Evidence]


def _pick(evidence: Evidence, chance: random.Random, *kinds: str) -> int:
    wanted = [at for at, each in enumerate(evidence.rows) if each.record["kind"] in (kinds or ("intent", "outcome"))]
    return chance.choice(wanted)


def _with(evidence: Evidence, at: int, leaf: Leaf) -> Evidence:
    return replace(evidence, rows=[*evidence.rows[:at], leaf, *evidence.rows[at + 1 :]])


def _spell(record: dict[str, object]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


# without the key


def _edit(evidence: Evidence, chance: random.Random) -> Evidence:
    at = _pick(evidence, chance, "intent", "outcome", "refusal")
    record = evidence.rows[at].record
    name = chance.choice(sorted(record))
    value = record[name]
    record[name] = value + 1 if isinstance(value, int) else f"{value}x"
    return _with(evidence, at, replace(evidence.rows[at], text=_spell(record)))


def _flip(evidence: Evidence, chance: random.Random) -> Evidence:
    at = _pick(evidence, chance, "intent", "outcome", "refusal")
    text = bytearray((evidence.rows[at].text or "").encode())
    text[chance.randrange(len(text))] ^= 1 << chance.randrange(7)
    return _with(evidence, at, replace(evidence.rows[at], text=text.decode("latin-1")))


def _salt(evidence: Evidence, chance: random.Random) -> Evidence:
    at = _pick(evidence, chance, "intent", "outcome")
    return _with(evidence, at, replace(evidence.rows[at], salt=chance.randbytes(32)))


def _delete(evidence: Evidence, chance: random.Random) -> Evidence:
    at = _pick(evidence, chance, "intent", "outcome", "refusal")
    return _with(evidence, at, replace(evidence.rows[at], salt=None, text=None))


def _delete_run(evidence: Evidence, chance: random.Random) -> Evidence:
    first = _pick(evidence, chance)
    rows = [
        replace(each, salt=None, text=None) if first <= at < first + chance.randint(2, 9) and not each.clear else each
        for at, each in enumerate(evidence.rows)
    ]
    return replace(evidence, rows=rows)


def _delete_day(evidence: Evidence, chance: random.Random) -> Evidence:
    day = int(str(evidence.rows[_pick(evidence, chance)].record["time"])) // 86_400_000_000
    rows = [
        replace(each, salt=None, text=None)
        if not each.clear and int(str(each.record["time"])) // 86_400_000_000 == day
        else each
        for each in evidence.rows
    ]
    return replace(evidence, rows=rows)


def _swap_records(evidence: Evidence, chance: random.Random) -> Evidence:
    one, other = chance.sample([at for at, each in enumerate(evidence.rows) if not each.clear], 2)
    first, second = evidence.rows[one], evidence.rows[other]
    moved = _with(evidence, one, replace(first, salt=second.salt, text=second.text))
    return _with(moved, other, replace(second, salt=first.salt, text=first.text))


def _edit_operator(evidence: Evidence, chance: random.Random) -> Evidence:
    at = _pick(evidence, chance, "operator")
    record = evidence.rows[at].record
    return _with(evidence, at, evidence.rows[at].saying(_spell({**record, "time": int(str(record["time"])) + 1})))


def _cut(evidence: Evidence, chance: random.Random) -> Evidence:
    return replace(evidence, rows=evidence.rows[: -chance.randint(1, 20)])


def _drop_leaf(evidence: Evidence, chance: random.Random) -> Evidence:
    at = chance.randrange(len(evidence.rows))
    return replace(evidence, rows=[*evidence.rows[:at], *evidence.rows[at + 1 :]])


def _swap_leaves(evidence: Evidence, chance: random.Random) -> Evidence:
    one, other = chance.sample(range(len(evidence.rows)), 2)
    moved = _with(evidence, one, evidence.rows[other])
    return _with(moved, other, evidence.rows[one])


def _replay(evidence: Evidence, chance: random.Random) -> Evidence:
    at, to = chance.randrange(len(evidence.rows)), chance.randrange(len(evidence.rows))
    return replace(evidence, rows=[*evidence.rows[:to], evidence.rows[at], *evidence.rows[to:]])


def _old_checkpoint(evidence: Evidence, chance: random.Random) -> Evidence:
    size = chance.randrange(len(evidence.rows))
    return replace(evidence, note_b=checkpoint([each.entry for each in evidence.rows[:size]]))


def _fork(evidence: Evidence, chance: random.Random) -> Evidence:
    other = _omit(evidence, chance)
    return replace(evidence, note_b=other.note_b)


def _splice(evidence: Evidence, chance: random.Random) -> Evidence:
    start = chance.randrange(1, len(evidence.rows) - 1)
    entry = b"\1" + chance.randbytes(32)
    rows = [*evidence.rows[:start], *(replace(each, entry=entry) for each in evidence.rows[start : start + 5])]
    return replace(evidence, rows=[*rows, *evidence.rows[start + 5 :]])


def _other_key(evidence: Evidence, chance: random.Random) -> Evidence:
    return evidence.signed(Signer(chance.randbytes(32)))


def _note_bit(evidence: Evidence, chance: random.Random) -> Evidence:
    lines = evidence.note_b.split("\n")
    lines[1] = str(int(lines[1]) + chance.choice((-1, 1)))
    return replace(evidence, note_b="\n".join(lines))


def _report(evidence: Evidence, chance: random.Random) -> Evidence:
    facts = json.loads(json.dumps(evidence.report))
    facts["totals"][chance.choice(sorted(facts["totals"]))] += 1
    return replace(evidence, report=facts)


def _configuration(evidence: Evidence, chance: random.Random) -> Evidence:
    del chance
    forged = {digest: each.replace(b"2028", b"2030") for digest, each in evidence.configurations.items()}
    return replace(evidence, configurations=forged)


# with the key


def _omit(evidence: Evidence, chance: random.Random) -> Evidence:
    at = _pick(evidence, chance)
    return replace(evidence, rows=[*evidence.rows[:at], *evidence.rows[at + 1 :]]).signed()


def _reorder(evidence: Evidence, chance: random.Random) -> Evidence:
    at = chance.choice([
        at for at in range(len(evidence.rows) - 1)
        if evidence.rows[at].record.get("boot") == evidence.rows[at + 1].record.get("boot")
    ])  # fmt: skip
    return replace(
        evidence,
        rows=[*evidence.rows[:at], evidence.rows[at + 1], evidence.rows[at], *evidence.rows[at + 2 :]],
    ).signed()


def _insider(kind: str, change: Callable[[dict[str, object]], dict[str, object]]) -> Forge:
    def forge(evidence: Evidence, chance: random.Random) -> Evidence:
        at = _pick(evidence, chance, kind)
        return _with(evidence, at, evidence.rows[at].saying(_spell(change(evidence.rows[at].record)))).signed()

    return forge


def _say_again(evidence: Evidence, chance: random.Random) -> Evidence:
    at = _pick(evidence, chance)
    return replace(evidence, rows=[*evidence.rows, evidence.rows[at]]).signed()


def _omit_boot(evidence: Evidence, chance: random.Random) -> Evidence:
    # Not the last: a log that only ends sooner is told from a true one by a checkpoint seen before, or a witness.
    boots = list(dict.fromkeys(str(each.record["boot"]) for each in evidence.rows if "boot" in each.record))
    boot = chance.choice(boots[:-1])
    return replace(evidence, rows=[each for each in evidence.rows if each.record.get("boot") != boot]).signed()


def _deny_what_was_sent(evidence: Evidence, chance: random.Random) -> Evidence:
    sent = _pick(evidence, chance, "intent")
    denied = next(at for at, each in enumerate(evidence.rows) if each.record["kind"] == "refusal")
    if sent < denied:
        return _deny_what_was_sent(evidence, chance)
    record = {**evidence.rows[denied].record, "call": evidence.rows[sent].record["call"]}
    return _with(evidence, denied, evidence.rows[denied].saying(_spell(record))).signed()


def _announce_late(evidence: Evidence, chance: random.Random) -> Evidence:
    """Every record of a log under a configuration whose notice was shorter than was promised."""
    days = chance.randrange(30)
    renamed = {}
    for digest, preimage in evidence.configurations.items():
        trees = json.loads(preimage)
        for name, tree in trees[0].items():
            if name.startswith("processors/"):
                effective = date.fromisoformat(tree["notice"]["effective"])
                tree["notice"]["announced"] = str(effective - timedelta(days=days))
        written = json.dumps(trees).encode()
        renamed[digest] = hashlib.sha256(written).hexdigest(), written
    rows = []
    for row in evidence.rows:
        text = row.text if row.text is not None else row.entry[1:].decode()
        for digest, (other, _written) in renamed.items():
            text = text.replace(digest, other)
        rows.append(row.saying(text))
    return replace(evidence, rows=rows, configurations=dict(renamed.values())).signed()


def _claim(act: str, **said: object) -> Forge:
    """Another operator's record where one stands, of something that never was."""

    def forge(evidence: Evidence, chance: random.Random) -> Evidence:
        at = _pick(evidence, chance, "operator")
        kept = {name: evidence.rows[at].record[name] for name in ("boot", "kind", "rseq", "time", "v")}
        claimed = {**kept, "act": act, "document": chance.randbytes(32).hex(), **said}
        return _with(evidence, at, evidence.rows[at].saying(_spell(claimed))).signed()

    return forge


FORGERIES: dict[str, tuple[Forge, frozenset[str]]] = {
    "edit a field": (_edit, frozenset({"A4"})),
    "flip a bit of a record": (_flip, frozenset({"A4"})),
    "change a salt": (_salt, frozenset({"A4"})),
    "delete one record": (_delete, frozenset({"A4"})),
    "delete a run of records": (_delete_run, frozenset({"A4"})),
    "delete a whole day": (_delete_day, frozenset({"A4"})),
    "swap two records": (_swap_records, frozenset({"A4"})),
    "edit an operator record": (_edit_operator, frozenset({"A2"})),
    "cut the tail": (_cut, frozenset({"A2"})),
    "drop a leaf": (_drop_leaf, frozenset({"A2"})),
    "swap two leaves": (_swap_leaves, frozenset({"A2"})),
    "replay a leaf": (_replay, frozenset({"A2"})),
    "replay an old checkpoint": (_old_checkpoint, frozenset({"A2"})),
    "show the checkpoint of a fork": (_fork, frozenset({"A2"})),
    "splice foreign leaves in": (_splice, frozenset({"A2", "A4"})),
    "sign with another key": (_other_key, frozenset({"A2"})),
    "change a checkpoint's size": (_note_bit, frozenset({"A2"})),
    "raise a total of the report": (_report, frozenset({"A12"})),
    "prolong an agreement": (_configuration, frozenset({"A10"})),
    "insider: omit a record": (_omit, frozenset({"A5"})),
    "insider: reorder two records": (_reorder, frozenset({"A5"})),
    "insider: repeat a record": (_say_again, frozenset({"A5"})),
    "insider: omit a boot": (_omit_boot, frozenset({"A5"})),
    "insider: another call's outcome": (
        _insider("outcome", lambda r: {**r, "call": "ff" * 16}), frozenset({"A6"})),
    "insider: another processor": (_insider("intent", lambda r: {**r, "processor": "elsewhere"}), frozenset({"A7"})),
    "insider: another model": (_insider("intent", lambda r: {**r, "model": "a-model-of-tests"}), frozenset({"A7"})),
    "insider: before the agreement": (_insider("intent", lambda r: {**r, "time": 10**15}), frozenset({"A7"})),
    "insider: a field of text": (_insider("intent", lambda r: {**r, "prompt": "words"}), frozenset({"A9"})),
    "insider: a denial without a reason": (_insider("refusal", lambda r: {**r, "code": "because"}), frozenset({"A9"})),
    "insider: another configuration": (
        _insider("intent", lambda r: {**r, "configuration": "0d" * 32}), frozenset({"A10"})),
    "insider: two years old": (
        _insider("outcome", lambda r: {**r, "time": int(str(r["time"])) - 730 * 86_400_000_000}), frozenset({"A14"})),
    "insider: a time stamp that nobody gave": (
        _claim("anchor", parent="ab" * 32, count=3, start=10**15), frozenset({"A3"})),
    "insider: a call that was sent, and is said to be denied": (_deny_what_was_sent, frozenset({"A8"})),
    "insider: a notice that was too short": (_announce_late, frozenset({"A11"})),
    "insider: a reconciliation that was not made": (_claim("reconciliation", clean=True), frozenset({"A13"})),
    "insider: an erasure without its list": (_claim("erase", ground="tenant"), frozenset({"A4"})),
    "insider: a lost number of a tenant": (
        _insider("intent", lambda r: {**r, "tseq": int(str(r["tseq"])) + 1}), frozenset({"A5"})),
}  # fmt: skip
