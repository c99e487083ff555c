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
