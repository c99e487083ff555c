"""The tree: roots and proofs, against the recursive definition and a verifier that is not ours."""

from __future__ import annotations

import pytest
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion
from pymerkle.proof import MerkleProof

from gateway.audit.merkle import (
    EMPTY,
    consistency,
    fold,
    inclusion,
    leaf_hash,
    node_hash,
    peaks,
    perfect_root,
    root,
)

SIZES = (1, 2, 3, 4, 7, 8, 9, 31, 255, 256, 257, 300, 511, 512, 513, 1000)
LEAVES = [leaf_hash(f"entry {number}".encode()) for number in range(1000)]


def defined_root(hashes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(defined_root(hashes[:split]), defined_root(hashes[split:]))


def subtree(height: int, position: int) -> bytes:
    return perfect_root(LEAVES[position << height : position + 1 << height])


def foreign(size: int) -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    for number in range(size):
        tree.append_entry(f"entry {number}".encode())
    return tree


def test_an_empty_tree_has_the_root_of_the_standard() -> None:
    """The root over nothing is SHA-256 of nothing."""
    assert fold([]) == EMPTY
    assert EMPTY.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_that_of_the_definition_and_of_a_foreign_tree(size: int) -> None:
    """The root out of perfect subtrees equals the recursive definition and pymerkle's."""
    found = root(0, size, subtree)

    assert found == defined_root(LEAVES[:size])
    assert found == foreign(size).get_root()


@pytest.mark.parametrize("size", SIZES)
def test_a_foreign_verifier_accepts_our_inclusion_proofs(size: int) -> None:
    """For the first, last and middle leaves of each size, our path is the one pymerkle makes and accepts."""
    tree = foreign(size)
    for index in {0, size // 2, size - 1}:
        theirs = tree.prove_inclusion(index + 1)

        assert [LEAVES[index], *inclusion(index, size, subtree)] == theirs.path
        verify_inclusion(LEAVES[index], root(0, size, subtree), theirs)


@pytest.mark.parametrize("new", SIZES)
def test_a_foreign_verifier_accepts_our_consistency_proofs(new: int) -> None:
    """A consistency proof between any two of the sizes holds what RFC 6962 section 2.1.2 lists."""
    for old in [size for size in SIZES if size < new]:
        ours = consistency(old, new, subtree)

        assert consistent(old, new, root(0, old, subtree), root(0, new, subtree), ours)
        assert not consistent(old, new, root(0, old, subtree), root(0, new, subtree), ours[:-1])
        theirs = foreign(new).prove_consistency(old, new)
        assert isinstance(theirs, MerkleProof)
        verify_consistency(root(0, old, subtree), root(0, new, subtree), theirs)


def consistent(old: int, new: int, first: bytes, second: bytes, path: list[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2, word for word."""
    if not path:
        return False
    path = [first, *path] if old & (old - 1) == 0 else list(path)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    left = right = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            left, right = node_hash(each, left), node_hash(each, right)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            right = node_hash(right, each)
        at, last = at >> 1, last >> 1
    return left == first and right == second and last == 0


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    """A leaf beyond the tree has no proof."""
    with pytest.raises(ValueError, match="no such leaf"):
        inclusion(index, size, subtree)


def test_there_is_no_proof_that_a_tree_shrank() -> None:
    """A greater tree is not consistent with a smaller one; equal and empty ones need no hashes."""
    with pytest.raises(ValueError, match="not smaller"):
        consistency(6, 5, subtree)
    assert consistency(5, 5, subtree) == consistency(0, 5, subtree) == []


def test_peaks_cover_what_they_should() -> None:
    """The perfect subtrees of a range lie side by side and cover it."""
    assert list(peaks(0, 7)) == [(2, 0), (1, 2), (0, 6)]
    assert list(peaks(256, 300)) == [(5, 8), (3, 36), (2, 74)]
