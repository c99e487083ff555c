"""Memory that a process need not hold once it has started: what stands in files letter for letter, and what was freed.

Numba's library is 70 MB that are used to load the machine code and never again; of the graph of phrases, what a
self-test touched says nothing of what talk will. The kernel counts such pages to whoever touched them last, until
memory is short. Reading a configuration leaves holes all over the heap.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

_MAPS = Path("/proc/self/smaps")  # proc_pid_smaps(5)
_RANGE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (r-..) \S+ \S+ [1-9]")
"""A mapping of a file that nobody may write to."""
_UNCHANGED = re.compile(r"^Anonymous: +0 kB$", re.MULTILINE)
_HEAD = re.compile(r"^(?=[0-9a-f]+-[0-9a-f]+ )", re.MULTILINE)
_DONTNEED = 4  # madvise(2)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGE, _LARGEST = 128 * 1024, 32 * 1024 * 1024
"""Bytes from which the GNU C library lays a block outside the heap: at first, and where it stops raising that."""


@contextlib.contextmanager
def large_apart() -> Iterator[None]:
    """Within it, large blocks lie outside the heap and are given back once they are freed: they leave no holes.

    Then they lie in the heap again, where it takes no page fault for each page to have one more.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        yield
        return
    mallopt(_MMAP_THRESHOLD, _LARGE)
    try:
        yield
    finally:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)


def let_go() -> None:
    """Give back what the kernel reads again when it is used, and what nothing uses. Where it is not Linux: nothing."""
    libc = ctypes.CDLL(None)
    with contextlib.suppress(OSError):
        for mapping in _HEAD.split(_MAPS.read_text()):
            found = _RANGE.match(mapping)
            if found is not None and _UNCHANGED.search(mapping):
                first, end = (int(found[number], 16) for number in (1, 2))
                libc.madvise(ctypes.c_size_t(first), ctypes.c_size_t(end - first), _DONTNEED)
    if hasattr(libc, "malloc_trim"):  # of the GNU C library
        libc.malloc_trim(0)
