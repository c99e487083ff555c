"""Memory that the detector's processes need not hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import hashlib, mmap, sys
from pathlib import Path
import llvmlite.binding as llvm
from gateway.resident import let_go

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssFile"))

path = Path(sys.argv[1])
with path.open("r+b") as file:
    read, written = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
before = hashlib.sha256(read).hexdigest()
written[:4] = b"ours"
llvm.initialize_native_target()
triple = llvm.get_default_triple()
high = resident()
let_go()
low = resident()
assert low < high - len(read) // 1024, (high, low)
assert hashlib.sha256(read).hexdigest() == before
assert written[:4] == b"ours" and path.read_bytes()[:4] == b"file"
assert llvm.get_default_triple() == triple
"""


def test_what_files_hold_is_let_go_and_read_again(tmp_path: Path) -> None:
    """Pages of libraries and of mapped files leave memory; all can still be read, and what was written over is kept."""
    path = tmp_path / "mapped"
    path.write_bytes(b"file" + bytes(2**23))
    subprocess.run([sys.executable, "-c", _PROGRAM, str(path)], check=True)


_APART = """
import contextlib, sys
from pathlib import Path
from gateway.resident import large_apart

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

before = held()
kept = []
with large_apart() if sys.argv[1] == "apart" else contextlib.nullcontext():
    bytearray(300_000)  # once such a block was freed, the C library lays others in the heap
    for _ in range(100):
        large, small = bytearray(200_000), bytearray(5_000)
        large[::4096] = bytes(len(large[::4096]))
        kept.append((large, small))
    kept = [small for _large, small in kept]
    del large
    print(held() - before)
assert all(len(bytearray(size)) == size for size in (1, 200_000, 50_000_000))
"""


def test_large_blocks_leave_no_holes() -> None:
    """What is freed among what stays is given back at once, and memory is had as ever afterwards."""
    more = {
        how: int(subprocess.run([sys.executable, "-c", _APART, how], check=True, capture_output=True).stdout)
        for how in ("apart", "as ever")
    }
    assert more["apart"] < 10_000 < more["as ever"]
