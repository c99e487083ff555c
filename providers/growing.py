"""A list that grows from body to body: its known items are cut out of the text, and put back when it is written.

The text is strict JSON (`document`) that holds the list under a key of its topmost object. Up to a place in it that
two bodies share, byte for byte, every parser is in the same state; so what follows that place can be read alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from providers.document import Document, NotStrict, Value, parse, serialise


def written(items: Sequence[Value]) -> bytes:
    """The items as `document.serialise` writes them, without the brackets of their list."""
    return orjson.dumps(items)[1:-1]


def opening(data: bytes, member: str) -> int | None:
    """Where the first item of a list seems to stand in a text that is written as ours is."""
    key = orjson.dumps(member) + b":["
    start = data.find(key + b"{")
    return None if start < 0 else start + len(key)


def parts(data: bytes, end: int) -> bool:
    """Whether an item of a list may end there: another one, which is an object, or the list's end comes next."""
    return data.startswith((b",{", b"]"), end)


def without(data: bytes, start: int, end: int) -> bytes:
    """The text without the list's first items, which are data[start:end], where `parts` says that they end.

    Both texts are strict JSON, or neither is.
    """
    return data[:start] + data[end + data.startswith(b",", end) :]


def inside(data: bytes, start: int, item: int, text: int, first: int) -> bytes:
    """The text without the list's first items, which begin at `start`, but for an end of the last one's string.

    That item begins at `item`, its string's own text at `text`, and what of it remains at `first`.
    """
    return data[:start] + data[item:text] + data[first:]


def stand(data: bytes, start: int, end: int, document: Document, member: str, others: list[Value]) -> bool:
    """Whether data[start:end] are the items of the document's list but for the others, which follow on them.

    So it is if the text without them is the same document with the others alone: had what is cut out begun or ended
    elsewhere, within a string or an item, what remains would not be JSON.
    """
    return parts(data, end) and reads_as(without(data, start, end), {**document, member: others})


def reads_as(data: bytes, document: Document) -> bool:
    """Whether a text is strict JSON, and this document."""
    try:
        return parse(data) == document
    except NotStrict:
        return False


def serialise_after(items: bytes, tree: Document, member: str, octets: int = 0) -> bytes:
    """`document.serialise`, with these items before those of the list; they are as `written` gives them.

    If `octets` are given, the last of them goes on with the list's first item, without so many of its octets.

    Raises:
        NotStrict: as it.
    """
    rest = tree[member]
    assert isinstance(rest, list)  # noqa: S101  # that is what grows
    if octets:
        items, rest = items + written(rest[:1])[octets:], rest[1:]
    return serialise({**tree, member: [orjson.Fragment(items), *rest]})  # type: ignore[list-item]  # orjson's own
