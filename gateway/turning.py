"""The door: a call that finds every place taken is turned away, by an answer made once, with another id each time.

Turning a call away must cost next to nothing, or the calls that cannot be served take from those that can. So it
happens before anybody asks who calls: nothing of it is read but its path, which says in whose form the answer is. And
a caller who comes again with the same head is not read at all: what the parser made of those bytes once, it would make
of them again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from time import time_ns
from typing import Final

from aiohttp.http import RawRequestMessage

from gateway.answers import CLOSE, KEEP, OneWrite, reason_of
from gateway.errors import Code
from gateway.heads import split
from gateway.intake import SERVER_NAME, head_fault
from gateway.keys import new_call_id
from gateway.passage import InForce
from providers.provider import Provider, Refusal

_REASON: Final = "The gateway has too many calls in flight."
_MARK: Final = b"0" * 32
_MOST_KNOWN: Final = 1024
"""Heads; as many again are begun with anew."""


class Door:
    """Says that every place is taken, if that is so; one whose head is not in order is handled by who handles calls.

    Args:
        full: whether every place is taken.
        in_force: the configuration in force now.
        told: told of each call that is turned away; of such a call there is no passage.
    """

    def __init__(self, full: Callable[[], bool], in_force: Callable[[], InForce], told: Callable[[], None]) -> None:
        self._full = full
        self._in_force = in_force
        self._told = told
        self._known: dict[bytes, tuple[InForce, Provider, str]] = {}

    def meet(self, head: RawRequestMessage) -> TurnedAway | None:
        """The answer to a call; None where there is a place, or something wrong with its head."""
        if not self._full():
            return None
        force = self._in_force()
        if head_fault(head, force.host_names) is not None:
            return None
        return self._answer(force, force.targets.wire_of(head.path, head.headers))

    def remember(self, data: bytes, head: RawRequestMessage) -> None:
        """That `meet` answered this request, which came as `data`, and its connection stayed."""
        known = _known_by(data)
        if known is not None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            force = self._in_force()
            self._known[known] = force, force.targets.wire_of(head.path, head.headers), head.method

    def meet_again(self, data: bytes) -> bytes | None:
        """The answer to a whole request whose head, but for its length, was met before; None where `meet` is to say."""
        if not self._full() or (known := _known_by(data)) is None:
            return None
        force, wire, method = self._known.get(known, (None, None, ""))
        if wire is None or force is not self._in_force():
            return None
        return self._answer(force, wire).written(method, keeps=True)

    def _answer(self, force: InForce, wire: Provider) -> TurnedAway:
        self._told()
        return TurnedAway(wire, new_call_id(time_ns), force.bundle.digest[:16])


def _known_by(data: bytes) -> bytes | None:
    head = split(data)
    if head is None or head.missing:
        return None
    # They hold a key.
    return blake2b(b"%d %b%b" % (len(head.before), head.before, head.behind), digest_size=16).digest()


class TurnedAway(OneWrite):
    """`overloaded`, in a wire's own form, as one write; without its body where a HEAD was asked.

    Args:
        wire: whose form.
        call_id: of this call.
        policy: what `x-gateway-policy` says.
    """

    __slots__ = ("_call", "_made")

    def __init__(self, wire: Provider, call_id: str, policy: str) -> None:
        super().__init__()
        self._call = call_id.encode()
        self._made = _made(wire.shape_error, wire.request_id_header, policy)

    def written(self, method: str, *, keeps: bool) -> bytes:
        """See `OneWrite`."""
        head, body = self._made
        whole = b"".join((head, KEEP if keeps else CLOSE, b"" if method == "HEAD" else body))
        return whole.replace(_MARK, self._call)


@lru_cache(maxsize=16)
def _made(shape: Callable[[Refusal], bytes], id_header: str, policy: str) -> tuple[bytes, bytes]:
    """Head, without its end, and body, with a mark where the call's id stands."""
    code, mark = Code.OVERLOADED, _MARK.decode()
    refusal = Refusal(
        status=code.status, code=code.value, message=_REASON, where=None, call_id=mark, source=None, instead=None
    )
    body = shape(refusal)
    head = (
        f"HTTP/1.1 {code.status} {reason_of(code.status)}\r\nx-gateway-call-id: {mark}\r\n{id_header}: {mark}\r\n"
        f"x-gateway-policy: {policy}\r\nx-gateway-code: {code.value}\r\nx-should-retry: true\r\nretry-after: 1\r\n"
        f"content-type: application/json; charset=utf-8\r\nserver: {SERVER_NAME}\r\ncontent-length: {len(body)}\r\n"
    )
    return head.encode("ascii"), body
