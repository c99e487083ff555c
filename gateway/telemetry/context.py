"""The trace that a caller's call belongs to: W3C Trace Context, https://www.w3.org/TR/trace-context/ section 3.2."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

TRACEPARENT: Final = "traceparent"

_WRITTEN = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 1


class Context(NamedTuple):
    """A trace, and the span in it that called us (16 hex digits; none where we begin the trace)."""

    trace: str
    parent: str
    sampled: bool


def context(written: str | None, call: str) -> Context:
    """What a `traceparent` says; without a good one, a trace of the call's own, which bears its id.

    Args:
        written: the header's value.
        call: the call's id, 32 hex digits.
    """
    found = None if written is None else _WRITTEN.fullmatch(written)
    if found is None:
        return Context(call, "", sampled=True)
    version, trace, parent, flags, more = found.groups()
    # Of a later version's form we know as much as of this one's; version 255 is none, and this one says no more.
    if version == "ff" or (version == "00" and more) or not int(trace, 16) or not int(parent, 16):
        return Context(call, "", sampled=True)
    return Context(trace, parent, bool(int(flags, 16) & _SAMPLED))
