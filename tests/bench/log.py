"""What the log costs: leaves a second of the sequencer, a proof, and a million records verified; CPU of one core.

Run `python -m tests.bench.log [LEAVES]`. What must hold: 5,000 leaves/s; a proof in milliseconds; a million in a minute.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import tempfile
import time
from pathlib import Path

from gateway.audit.evidence import Evidence
from gateway.audit.merkle import inclusion
from gateway.audit.store import FILE_NAME, reading
from gateway.audit.verify import verify
from tests.gateway.audit.forgeries import POLICY, failed
from tests.gateway.audit.logs import KEY, House


def main(leaves: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        house = House(Path(scratch) / "state")
        house.boot()
        for _ in range(leaves // 2200 + 1):
            house.calls(1000)
        begin = time.process_time()
        size = house.sequence()
        spent = time.process_time() - begin
        print(f"sequencer            {size / spent:9,.0f} leaves/s of one core, {size:,} leaves")
        path = house.directory / "journal" / FILE_NAME
        with house.log() as log, contextlib.closing(reading(path, KEY)) as journal:
            begin = time.process_time()
            for number in range(200):
                inclusion(number * 7919 % size, size, log.subtrees())
            print(f"inclusion proof      {(time.process_time() - begin) * 5:9.2f} ms, tiles read anew")
            signed = log.latest()
            assert signed is not None
            evidence = Evidence(log, journal, house.directory / "log", None, signed)
            begin = time.process_time()
            run = verify(evidence, POLICY)
            spent = time.process_time() - begin
            print(f"a million verified   {spent / size * 1e6:9.1f} s, reading included; {failed(run) or 'all hold'}")
        print(f"greatest memory      {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:9.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
