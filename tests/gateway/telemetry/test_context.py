"""The trace that a call belongs to, by its `traceparent`."""

from __future__ import annotations

import pytest

from gateway.telemetry.context import Context, context

CALL = "0192f8a0c0de7000800000000000abcd"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OURS = Context(CALL, "", sampled=True)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (f"00-{TRACE}-{PARENT}-01", Context(TRACE, PARENT, sampled=True)),
        (f"00-{TRACE}-{PARENT}-00", Context(TRACE, PARENT, sampled=False)),
        (f"00-{TRACE}-{PARENT}-03", Context(TRACE, PARENT, sampled=True)),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be", Context(TRACE, PARENT, sampled=True)),
        (None, OURS),
        ("", OURS),
        (f"ff-{TRACE}-{PARENT}-01", OURS),
        (f"00-{TRACE}-{PARENT}-01-more", OURS),
        (f"00-{TRACE.upper()}-{PARENT}-01", OURS),
        (f"00-{'0' * 32}-{PARENT}-01", OURS),
        (f"00-{TRACE}-{'0' * 16}-01", OURS),
        (f"00-{TRACE}-{PARENT}-0", OURS),
        (f"00-{TRACE}-{PARENT}-01\n", OURS),
        ("she is diabetic", OURS),
    ],
)
def test_a_trace_is_joined_only_if_it_is_well_written(written: str | None, found: Context) -> None:
    """What is not as the specification has it is no trace: the call begins its own, whose id is the call's."""
    assert context(written, CALL) == found
