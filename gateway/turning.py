"""The answer to a call that finds every place taken: made once, and given with another id each time.

Turning a call away must cost next to nothing, or the calls that cannot be served take from those that can. So it
happens before anybody asks who calls: nothing of it is read but its path, which says in whose form the answer is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from gateway.answers import CLOSE, KEEP, OneWrite, reason_of
from gateway.errors import Code
from gateway.intake import SERVER_NAME
from providers.provider import Provider, Refusal

_REASON: Final = "The gateway has too many calls in flight."
_MARK: Final = b"0" * 32


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
