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


def find(data: bytes, document: Document, member: str, items: bytes) -> int | None:
    """Where the items of a list begin in the text of its document; None if they are not written there as by us.

    `items` is what `written` gives for all of them. That nothing but this list stands there is proved: without
    them, the text is the same document with that list empty.
    """
    key = orjson.dumps(member) + b":["
    start = data.find(key + items[:1]) + len(key)
    end = start + len(items)
    if not items or start < len(key) or not data.startswith(items, start) or not data.startswith(b"]", end):
        return None
    try:
        rest = parse(data[:start] + data[end:])
    except NotStrict:
        return None
    return start if rest == {**document, member: []} else None


def follow(data: bytes, end: int, items: bytes) -> bool:
    """Whether all that follows on items of a list, which end there, is these, written as by us."""
    return (
        data.startswith(b",", end) and data.startswith(items, end + 1) and data.startswith(b"]", end + 1 + len(items))
    )


def parts(data: bytes, end: int) -> bool:
    """Whether an item of the list may end there: another one, which is an object, or the list's end comes next."""
    return data.startswith((b",{", b"]"), end)


def without(data: bytes, start: int, end: int) -> bytes:
    """The text without the list's first items, which are data[start:end], where `parts` says that they end.

    Both texts are strict JSON, or neither is.
    """
    return data[:start] + data[end + data.startswith(b",", end) :]


def serialise_after(items: bytes, tree: Document, member: str) -> bytes:
    """`document.serialise`, with these items before those of the list; they are as `written` gives them.

    Raises:
        NotStrict: as it.
    """
    rest = tree[member]
    assert isinstance(rest, list)  # noqa: S101  # that is what grows
    return serialise({**tree, member: [orjson.Fragment(items), *rest]})  # type: ignore[list-item]  # orjson's own
