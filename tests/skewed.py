"""`python -m tests.skewed SECONDS VERB ...`: the gateway with a clock that goes so far before the others', or behind."""

from __future__ import annotations

import sys
import time
from datetime import datetime, tzinfo


def main() -> int:
    """Set the clocks of this process, before anything of the gateway takes one, and run the verb."""
    seconds = int(sys.argv.pop(1))
    wall, wall_ns = time.time, time.time_ns
    time.time = lambda: wall() + seconds
    time.time_ns = lambda: wall_ns() + seconds * 1_000_000_000
    import gateway.clock  # noqa: PLC0415

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Skewed:
            return cls.fromtimestamp(time.time(), tz)

    gateway.clock.datetime = Skewed  # type: ignore[misc]
    from gateway.cli import main as verb  # noqa: PLC0415

    return verb()


if __name__ == "__main__":
    sys.exit(main())
