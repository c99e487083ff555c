"""What was found in texts already seen: offsets and categories under a keyed digest, never the text.

The key is made for the process and never leaves it, so a digest says nothing to anyone else. What
is kept is bounded in number and in time, and lies in no file.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Generic, TypeAlias, TypeVar

from gateway.redaction.findings import Finding
from providers.speech import OWN

SECONDS = 6 * 3600.0
"""For so long what was found is believed, at most."""
_DIGEST = 16
_WORDS = 4_096

T = TypeVar("T")
Known: TypeAlias = "tuple[tuple[int, tuple[Finding, ...]], ...]"
"""Of some texts, those in which something was found: which, and what."""


class Recent(dict[bytes, tuple[int, T]], Generic[T]):
    """Values with their weights, by name; beyond a limit of weight the one unused for longest goes first."""

    __slots__ = ("_limit", "_weight")

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._weight = 0

    def recall(self, name: bytes) -> T | None:
        """The value of that name, if there is one; it was used now."""
        kept = self.pop(name, None)
        if kept is None:
            return None
        self[name] = kept
        return kept[1]

    def keep(self, name: bytes, value: T, weight: int) -> None:
        """Put a value in the place of the last of that name, and forget the oldest beyond the limit."""
        self.forget(name)
        self[name] = weight, value
        self._weight += weight
        while self._weight > self._limit:
            self.forget(next(iter(self)))

    def forget(self, name: bytes) -> None:
        """Let go what is kept under a name, if anything is."""
        kept = self.pop(name, None)
        self._weight -= 0 if kept is None else kept[0]


class Memory:
    """What was found in the blocks of texts seen last; the one unused for longest goes first.

    Args:
        limit: how many blocks and findings together.
        seconds: for how long, at most.
        clock: seconds, of any origin.
    """

    __slots__ = ("_clock", "_found", "_keyed", "_seconds")

    def __init__(self, limit: int, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._keyed = new_key(_DIGEST)
        self._found = Recent[tuple[float, Known]](limit)

    def name(self, block: bytes) -> bytes:
        """The keyed digest under which what was found in a block is kept. Equal blocks are equal texts."""
        return _named(self._keyed, block)

    def recall(self, name: bytes) -> Known | None:
        """What is kept under a name; None if there is nothing, which is not the same as no findings."""
        kept = self._found.recall(name)
        if kept is None:
            return None
        if self._clock() >= kept[0]:
            self._found.forget(name)
            return None
        return kept[1]

    def keep(self, name: bytes, found: Sequence[Sequence[Finding]]) -> None:
        """Remember what was found in each text of a block, and forget the oldest beyond the limit."""
        known = tuple([(index, tuple(findings)) for index, findings in enumerate(found) if findings])
        weight = 1 + sum([len(findings) for _index, findings in known])
        self._found.keep(name, (self._clock() + self._seconds, known), weight)

    def __len__(self) -> int:
        return len(self._found)


class Words:
    """Words of answers in which nothing was found: kinds, models, names of tools, which most answers repeat.

    A container of words; as in `Memory`, only their keyed digests are kept, but for words that wires have of their own.
    The one that was learnt first goes first.
    """

    __slots__ = ("_clock", "_keyed", "_limit", "_own", "_until")

    def __init__(self, limit: int = _WORDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._keyed = new_key(_DIGEST)
        self._own: set[str] = set()
        self._until: dict[bytes, float] = {}

    def __contains__(self, word: object) -> bool:
        if not isinstance(word, str):
            return False
        return (
            word in self._own
            or self._until.get(_named(self._keyed, word.encode("utf-8", "surrogatepass")), 0.0) > self._clock()
        )

    def add(self, words: Iterable[str]) -> None:
        """Words that were looked at."""
        for word in words:
            if word in OWN:
                self._own.add(word)
                continue
            name = _named(self._keyed, word.encode("utf-8", "surrogatepass"))
            self._until.pop(name, None)
            self._until[name] = self._clock() + SECONDS
            if len(self._until) > self._limit:
                del self._until[next(iter(self._until))]


def new_key(size: int) -> blake2b:
    """What begins a digest of so many bytes under a key of its own, which is hashed once."""
    return blake2b(key=secrets.token_bytes(32), digest_size=size)


def _named(keyed: blake2b, text: bytes) -> bytes:
    digest = keyed.copy()
    digest.update(text)
    return digest.digest()
