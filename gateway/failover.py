"""Where else a call may go when the entry that it was granted cannot serve it: another entry of its wire, or nowhere.

Off unless the configuration names the purpose, and each trouble that leads on. Only before the first byte of an answer,
to entries that have the same model, each at most once, and only if the judge grants the call anew, at that instant, as
if the entries that it has been to were not there. What comes of it is a grant like any other: it is cleaned and
admitted under an intent of its own.

The provider's own 429, 503 and 529 say that it did not work on the call. Nothing else after the first byte leads on: a
call that got a 500, no answer in time or a broken connection may have been worked on (and paid for).
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, cast

from msgspec.structs import replace

from gateway.clock import Clock
from gateway.errors import Code, GatewayError, Refused, UpstreamError
from gateway.exchange import Call, Grant
from gateway.policy.judge import Policy, judge
from gateway.routes import Routes

Trouble: TypeAlias = Literal["unreachable", "left_alone", 429, 503, 529]
"""What may lead to another entry.

`unreachable`: no connection, handshake or credential, so no byte was sent. `left_alone`: the breaker is open, or the
provider asked for patience, so nothing was tried. The numbers are the provider's own answers, with this status.
"""

PATIENT: Final[tuple[Trouble, ...]] = ("unreachable", "left_alone")
"""What leads on where nobody says what: nothing was sent."""

STATUSES: Final = frozenset({429, 503, 529})
MOST_ENTRIES: Final = 4
"""So many entries see one call at most, however many have the model."""


class Elsewhere:
    """The way on of one call.

    Args:
        call: as it was read; each grant is made of it.
        policy: of the configuration that the call began with. What is halted since then counts.
        troubles: what leads on; empty for nearly every call.
        routes: which entries are left alone now.
        clock: the instant of each judgement.
    """

    __slots__ = ("_call", "_clock", "_policy", "_routes", "_tried", "_troubles")

    def __init__(self, call: Call, policy: Policy, troubles: frozenset[Trouble], routes: Routes, clock: Clock) -> None:
        self._call = call
        self._policy = policy
        self._troubles = troubles
        self._routes = routes
        self._clock = clock
        self._tried: frozenset[str] = frozenset()

    def after_answer(self, failed: Grant, status: int) -> Grant | None:
        """The grant of another entry, after the provider answered so; None: that answer is the call's own."""
        return self._next(failed, cast(Trouble, status)) if status in STATUSES else None

    def after(self, failed: Grant, error: GatewayError) -> Grant | None:
        """The grant of another entry, after this error on the way there; None: the error is the call's own."""
        unsent = isinstance(error, UpstreamError) and error.retryable
        return self._next(failed, "unreachable") if unsent and error.code in _WAY else None

    def instead_of(self, left_alone: Grant) -> Grant | None:
        """The grant of another entry than one that is left alone now, so that nothing was tried there."""
        return self._next(left_alone, "left_alone")

    def _next(self, failed: Grant, trouble: Trouble) -> Grant | None:
        if trouble not in self._troubles:
            return None
        tried = self._tried | {failed.route.processor}
        while len(tried) < MOST_ENTRIES:
            now, latest = self._clock.read()
            entry = replace(self._call.entry, now=now, latest=latest, tried=tried)
            try:
                grant = judge(replace(self._call, entry=entry), self._policy)
            except Refused:
                break
            tried |= {grant.route.processor}
            try:
                self._routes.check(grant.route)
            except (Refused, UpstreamError):
                continue
            self._tried = tried
            return grant
        return None


_WAY = frozenset({Code.UPSTREAM_FAILED, Code.UPSTREAM_TIMEOUT})
