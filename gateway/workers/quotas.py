"""Quotas of several workers of one host: the parent counts for all of them, and each asks it.

A worker that gets no answer in `ANSWER_SECONDS` grants its even part of each bound by itself, as a replica does without
Redis. What a worker held when it died is given back.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Final, cast

from gateway.quotas import Claim, Counters, Held, OverQuota, Quota, Taken
from gateway.workers.channel import Channel, Lost, Message
from providers.provider import Rate

ANSWER_SECONDS: Final = 0.1


class Till:
    """The parent's side: one worker's claims, out of the counters of all."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._held: dict[int, Taken] = {}

    def claim(self, message: Message) -> Message:
        """Take what a worker asks for; `release` of the same number gives it back."""
        claims = [Claim(scope, name, Quota(*most)) for scope, name, most in cast("list[list[str]]", message["claims"])]
        number, tokens = cast(int, message["claim"]), cast(int, message["tokens"])
        try:
            taken = self._counters.take(claims, tokens, stream=bool(message["stream"]))
        except OverQuota as over:
            return {
                "reason": over.reason,
                "wait": over.retry_after,
                "worth": over.retryable,
                "rates": _written(over.rates),
            }
        self._held[number] = taken
        return {"rates": _written(taken.rates)}

    def leave(self, message: Message) -> None:
        """A call goes on without the places of one scope."""
        taken = self._held.get(cast(int, message["leave"]))
        if taken is not None:
            taken.leave(str(message["scope"]))

    def release(self, message: Message) -> None:
        """A call is over; the tokens that it used, or None."""
        taken = self._held.pop(cast(int, message["release"]), None)
        if taken is not None:
            taken.release(cast("int | None", message["tokens"]))

    def empty(self) -> None:
        """The worker is gone, and with it every call that it held."""
        for taken in self._held.values():
            taken.release(None)
        self._held.clear()


class AskedQuotas:
    """The worker's side of `quotas.Quotas`.

    Args:
        channel: to the parent.
        counters: of this process, for while nobody answers.
        workers: among how many a bound is parted then.
    """

    def __init__(self, channel: Channel, counters: Counters, workers: int) -> None:
        self._channel = channel
        self._counters = counters
        self._workers = workers
        self._numbers = itertools.count(1)

    async def claim(self, claims: Sequence[Claim], tokens: int, *, stream: bool) -> Held:
        """See `Quotas`."""
        number = next(self._numbers)
        message: Message = {
            "claim": number,
            "claims": [(each.scope, each.name, _bounds(each.quota)) for each in claims],
            "tokens": tokens,
            "stream": stream,
        }
        try:
            answer = await self._channel.ask(message, ANSWER_SECONDS)
        except Lost:
            self._give_back(number, None)  # it may have been counted, and be answered late
            shares = [Claim(each.scope, each.name, each.quota.share(self._workers)) for each in claims]
            return self._counters.take(shares, tokens, stream=stream)
        except asyncio.CancelledError:
            self._give_back(number, None)
            raise
        rates = tuple(Rate(*each) for each in cast("list[list[str]]", answer["rates"]))  # type: ignore[arg-type]
        if "reason" in answer:
            wait = cast(float, answer["wait"])
            raise OverQuota(str(answer["reason"]), wait, rates, worth_waiting=bool(answer["worth"]))
        return _Asked(self, number, rates)

    def _leave(self, number: int, scope: str) -> None:
        self._channel.send({"leave": number, "scope": scope})

    def _give_back(self, number: int, tokens: int | None) -> None:
        self._channel.send({"release": number, "tokens": tokens})


class _Asked:
    """One call's claims, counted by the parent."""

    __slots__ = ("_number", "_quotas", "rates")

    def __init__(self, quotas: AskedQuotas, number: int, rates: tuple[Rate, ...]) -> None:
        self._quotas: AskedQuotas | None = quotas
        self._number = number
        self.rates = rates

    def leave(self, scope: str) -> None:
        """See `Held`."""
        if self._quotas is not None:
            self._quotas._leave(self._number, scope)

    def release(self, tokens: int | None) -> None:
        """See `Held`."""
        quotas, self._quotas = self._quotas, None
        if quotas is not None:
            quotas._give_back(self._number, tokens)


def _bounds(quota: Quota) -> list[int | None]:
    return [getattr(quota, name) for name in Quota.__struct_fields__]


def _written(rates: tuple[Rate, ...]) -> list[tuple[str, int, int, float]]:
    return [(rate.kind, rate.limit, rate.remaining, rate.reset) for rate in rates]
