"""What is remembered of texts: nothing of the text, and not for ever."""

from __future__ import annotations

from gateway.categories import Category
from gateway.redaction.findings import Finding
from gateway.redaction.memory import Memory, Words

ONE = Finding(0, 3, Category.HEALTH, 0.9)


class Clock:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        """The time that was set."""
        return self.now


def test_no_findings_is_not_nothing_known() -> None:
    """A text in which nothing was found is known; one that was never seen is not."""
    memory = Memory(10)
    name = memory.name(b'["a"]')

    before = memory.recall(name)
    memory.keep(name, [[]])

    assert before is None
    assert memory.recall(name) == ()


def test_says_which_text_of_a_block() -> None:
    """Only texts with findings take room."""
    memory = Memory(10)
    memory.keep(b"n", [[], [ONE], []])

    assert memory.recall(b"n") == ((1, (ONE,)),)


def test_forgets_the_oldest_and_counts_findings() -> None:
    """A block weighs one and its findings; what was used last stays."""
    memory = Memory(6)
    memory.keep(b"a", [[ONE]])
    memory.keep(b"b", [[ONE]])
    memory.recall(b"a")
    memory.keep(b"c", [[ONE, ONE]])

    assert [memory.recall(name) is not None for name in (b"a", b"b", b"c")] == [True, False, True]


def test_forgets_with_time() -> None:
    """At the hour it is gone, and its room is free."""
    clock = Clock()
    memory = Memory(2, seconds=60, clock=clock)
    memory.keep(b"a", [[ONE]])
    clock.now = 59.9
    known = memory.recall(b"a")
    clock.now = 60.0

    assert known is not None
    assert memory.recall(b"a") is None
    assert len(memory) == 0


def test_names_are_keyed() -> None:
    """The same text has another name in another process."""
    assert Memory(1).name(b"text") != Memory(1).name(b"text")


def test_words_are_known_until_they_are_forgotten() -> None:
    """What was added is known, up to the limit and for its time; the first goes first."""
    clock = Clock()
    words = Words(2, clock)
    words.add(["m-1", "m-2", "m-1", "tool"])

    assert [word in words for word in ("m-1", "m-2", "tool", "other")] == [True, False, True, False]
    clock.now = 6 * 3600.0
    assert "tool" not in words
    assert 7 not in words


def test_words_of_the_wires_stay_known() -> None:
    """They are looked at once like all, then known for good, and take no other's room."""
    clock = Clock()
    words = Words(1, clock)

    assert "stop" not in words
    words.add(["m-1", "stop", "assistant"])
    clock.now = 6 * 3600.0 - 1
    assert [word in words for word in ("m-1", "stop", "assistant", "length")] == [True, True, True, False]
    clock.now = 6 * 3600.0
    assert [word in words for word in ("m-1", "stop")] == [False, True]
