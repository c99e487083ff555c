"""The form in which a wire's own usage report is read: what it counts, of which operations, and the table of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Struct

from providers.document import Document


class NotUsage(ValueError):
    """An answer is no usage report. The text is ours."""


class Used(Struct, frozen=True):
    """What one key used on one day (since 1970, UTC): `requests` is None where the report counts none."""

    day: int
    key: str
    requests: int | None
    input: int
    output: int


class Page(Struct, frozen=True):
    """One answer: what it says, and the mark of the next page, None at the end."""

    used: tuple[Used, ...]
    following: str | None


@dataclass(frozen=True, slots=True)
class UsageReport:
    """How a provider reports usage.

    Attributes:
        parts: the reports that there are, by the names by which the official client has them.
        operations: those of our operations that they count.
        tokens_of: those of them whose tokens they count, too.
        input: which of our counts of tokens together are what they call input.
        requests: whether they count requests.
        prefix: what the official client wants behind an entry's base URL.
        path: where the report is, for a client that has no call of its own for it.
        read: (part, document) -> what it says. Raises `NotUsage`.
    """

    parts: tuple[str, ...]
    operations: tuple[str, ...]
    tokens_of: tuple[str, ...]
    input: tuple[str, ...]
    requests: bool
    read: Callable[[str, Document], Page]
    prefix: str = ""
    path: str = ""


def count(tree: Document, name: str) -> int:
    """A count of an answer; an absent one is none.

    Raises:
        NotUsage: it is no count.
    """
    value = tree.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise NotUsage("a count of the report is none")
    return value


def objects(tree: Document, name: str) -> list[Document]:
    """A list of objects of an answer.

    Raises:
        NotUsage: it is none.
    """
    value = tree.get(name)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise NotUsage("a list of the report is none")
    return [each for each in value if isinstance(each, dict)]


def following(tree: Document) -> str | None:
    """The mark of the next page.

    Raises:
        NotUsage: there is one more page, and no mark of it.
    """
    mark = tree.get("next_page")
    if tree.get("has_more") is not True:
        return None
    if not isinstance(mark, str) or not mark:
        raise NotUsage("a page of the report does not say which is next")
    return mark


def key_of(tree: Document, name: str) -> str:
    """The public id of the key that was used; `none` where it was used without one.

    Raises:
        NotUsage: it is no id.
    """
    value = tree.get(name)
    if value is None:
        return "none"
    if not isinstance(value, str) or not 0 < len(value) <= 128 or not value.replace("-", "_").isidentifier():
        raise NotUsage("a key of the report has no id")
    return value
