"""How many attempts of a period went out under agreements in force at their time: the verifier's judgement, counted.

What the verifier asks of each intent (A7) depends on processor, agreement, model, countries, purpose and time, and on
the configuration in force. So attempts that are alike in the first five are judged together, for each stretch of time
in which nothing about the answer can change.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from gateway.audit.configurations import kept_configuration
from gateway.audit.pages import Filters, View
from gateway.audit.verify import Configuration, NotVerified
from gateway.web.agreements import Agreement

GRACE = 600_000_000
"""For so long (microseconds) after a configuration came into force, the one before may still have decided a call."""

_LAST = 2**62
_LIKE = ("processor", "agreement", "model", "countries", "purpose")


def coverage(view: View, filters: Filters, state: Path, known: Iterable[Agreement]) -> tuple[int, int]:
    """Attempts in the period: those under an agreement in force at their time, and those that were not."""
    values = tuple(each for each in filters.values if each[0] != "decision")
    allowed = replace(filters, values=(*values, ("decision", "allow")))
    turns = _turns(view, state)
    dates = [at for each in known for at in (each.since, each.until) if at is not None]
    dates += [at for turn in turns for at in (turn.time, turn.time + GRACE)]
    covered = bare = 0
    for like, sums in view.counts(allowed).grouped(*_LIKE):
        if like[0].startswith("canary:"):  # the gateway's trials of itself, which no agreement is about
            continue
        marks = {filters.since, filters.until, *dates, *_notices(turns, like[0])}
        spans = list(pairwise(sorted(at for at in marks if filters.since <= at <= filters.until)))
        intent = _intent(like)
        held = [span for span in spans if _holds(turns, span, intent)]
        if len(held) == len(spans):
            inside = sums.rows
        else:
            alike = (*allowed.values, *zip(_LIKE, like, strict=True))
            inside = sum(
                view.counts(replace(allowed, since=since, until=until, values=alike)).total.rows
                for since, until in _joined(held)
            )
        covered += inside
        bare += sums.rows - inside
    return covered, bare


class Turn(NamedTuple):
    """When a configuration came into force; None where it was not kept. `number` orders those of one moment."""

    time: int
    number: int
    configuration: Configuration | None


def _turns(view: View, state: Path) -> list[Turn]:
    """When which configuration came into force, in order."""
    acts = view.acts(("boot", "configuration"), most=10_000)
    named = sorted((act.time, str(act.body["configuration"])) for act in acts if act.body.get("configuration"))
    read = {digest: _configuration(str(state / "log"), digest) for _time, digest in named}
    return [Turn(time, number, read[digest]) for number, (time, digest) in enumerate(named)]


def _intent(like: Sequence[str]) -> dict[str, object]:
    """What the verifier asks of an attempt, but for its time."""
    processor, agreement, model, countries, purpose = like
    return {
        "processor": processor, "agreement": agreement, "model": model, "countries": countries.split(),
        "purpose": purpose,
    }  # fmt: skip


def _holds(turns: Sequence[Turn], span: tuple[int, int], intent: dict[str, object]) -> bool:
    """Whether such an attempt in this stretch was covered by the configuration in force, or that shortly before."""
    intent["time"] = middle = (span[0] + span[1]) // 2
    last = bisect_right(turns, (middle, _LAST)) - 1
    if last < 0:
        return False
    former = 1 if middle < turns[last].time + GRACE else 0
    in_force = turns[max(last - former, 0) : last + 1]
    return any(turn.configuration is not None and turn.configuration.uncovered(intent) is None for turn in in_force)


def _notices(turns: Iterable[Turn], processor: str) -> set[int]:
    read = {id(turn.configuration): turn.configuration for turn in turns if turn.configuration is not None}
    effective = [each.notice(processor)[1] for each in read.values()]
    return {at for at in effective if at is not None}


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Stretches that meet, as one."""
    found: list[tuple[int, int]] = []
    for since, until in spans:
        if found and found[-1][1] == since:
            found[-1] = (found[-1][0], until)
        else:
            found.append((since, until))
    return found


@lru_cache(maxsize=512)
def _configuration(log: str, digest: str) -> Configuration | None:
    """A kept configuration; a digest names it for good."""
    preimage = kept_configuration(Path(log), digest)
    try:
        return None if preimage is None else Configuration(preimage)
    except NotVerified:
        return None
