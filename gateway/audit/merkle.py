"""The tree of the log: hashes of RFC 6962 section 2.1, proofs of sections 2.1.1 and 2.1.2.

Pure functions of hashes. Where the hashes are kept is the caller's business: a proof asks for
the roots of *perfect* subtrees, by height and position, and every one of those is in a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY = sha256(b"").digest()
"""The root of a tree without leaves."""

Subtree = Callable[[int, int], bytes]
"""(height, position) -> root of the perfect subtree over leaves [position << height, position + 1 << height)."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry as a leaf; the prefix keeps a leaf from ever passing for a node."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees as one."""
    return sha256(b"\1" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 2^k hashes, k >= 0."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def peaks(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The (height, position) of the perfect subtrees that cover leaves [start, end), left to right.

    `start` must be a multiple of the greatest power of two that fits between them, as it is for
    every subtree that RFC 6962 splits a tree into.
    """
    while start < end:
        height = (end - start).bit_length() - 1
        yield height, start >> height
        start += 1 << height


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over the peaks of a tree, given left to right; `EMPTY` if there are none."""
    if not hashes:
        return EMPTY
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def root(start: int, end: int, subtree: Subtree) -> bytes:
    """The root over leaves [start, end). RFC 6962 section 2.1."""
    return fold([subtree(height, position) for height, position in peaks(start, end)])


def inclusion(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """The hashes that prove that leaf `index` is in the tree of `size` leaves, from leaf to root.

    RFC 6962 section 2.1.1.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            path.append(root(split, end, subtree))
            end = split
        else:
            path.append(root(start, split, subtree))
            start = split
    return path[::-1]


def consistency(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """The hashes that prove that the tree of `new` leaves extends that of `old`; none if `old` is 0 or `new`.

    RFC 6962 section 2.1.2.

    Raises:
        ValueError: `old` is not in [0, new].
    """
    if not 0 <= old <= new:
        raise ValueError("the old tree is not smaller")
    if old in {0, new}:
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True  # whole: the old tree fills the part in hand from its start
    while old != end:
        split = start + _split(end - start)
        if old <= split:
            path.append(root(split, end, subtree))
            end = split
        else:
            path.append(root(start, split, subtree))
            start, whole = split, False
    if not whole:
        path.append(root(start, end, subtree))
    return path[::-1]


def _split(count: int) -> int:
    """The greatest power of two below `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1
