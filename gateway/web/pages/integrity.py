"""Integrity: the checkpoints and how they extend one another, boots, gaps, open ends, and how far the index is."""

from __future__ import annotations

from gateway.audit.log_store import Signed
from gateway.audit.pages import Filters
from gateway.audit.periods import DAY, HOUR
from gateway.web.asking import Ask, NotHere, Shown, Taken
from gateway.web.house import state_of
from gateway.web.proof import consistency_of

_DAYS = 14


def answer(ask: Ask) -> Shown | Taken:
    """The page, or `/integrity/checkpoint`: the last one as a file to keep."""
    now = ask.house.clock()
    with ask.house.log() as log:
        latest = None if log is None else log.latest()
        if log is None or latest is None:
            if ask.parts:
                raise NotHere
            return Shown(
                "integrity.html", "Integrity", "the signed log", 0, {"log": state_of(ask.house.bundle.origin, None)}
            )
        if ask.parts:
            if ask.parts[0] != "checkpoint":
                raise NotHere
            return Taken(
                "checkpoint", "text/plain; charset=utf-8", "the last checkpoint", 1, iter([latest.note.encode()])
            )
        earlier: list[Signed] = []
        at = now // DAY * DAY
        for back in range(_DAYS):
            signed = log.signed_before(at - back * DAY)
            if signed is None:
                break
            if not earlier or signed.size != earlier[-1].size:
                earlier.append(signed)
        wanted = int(ask.given["at"]) if "at" in ask.given else None
        old = log.signed_at(wanted) if wanted is not None else (earlier[0] if earlier else None)
        if wanted is not None and old is None:
            raise NotHere
        boots = sorted(log.boots().items(), reverse=True)[:50]
        proof = consistency_of(log, old, latest) if old is not None and old.size < latest.size else []
        covered = log.last_seq
    acts = ask.view.acts(("gap", "recovery", "shutdown", "boot"), most=100)
    ends = dict(ask.view.counts(Filters()).facet("end"))
    last = ask.view.marks.get("last", -1)
    state = state_of(ask.house.bundle.origin, latest)
    facts: dict[str, object] = {
        "log": state,
        "age": (now - latest.time) // 1_000_000,
        "stale": now - latest.time > HOUR,
        "verifier_key": ask.house.verifier_key,
        "earlier": [state_of(ask.house.bundle.origin, each) for each in earlier],
        "old": None if old is None else state_of(ask.house.bundle.origin, old),
        "proof": proof,
        "boots": boots,
        "acts": acts,
        "indeterminate": ends.get("indeterminate", 0),
        "open": ends.get("open", 0),
        "heartbeat": ask.view.marks.get("heartbeat"),
        "unsigned": max(0, last - covered),
        "behind": ask.view.behind(),
    }
    return Shown("integrity.html", "Integrity", "the signed log, as it is now", state.size, facts, dict(ask.given))
