"""What a page is asked with, and what it answers: a view to be framed, or a file to be taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.audit.pages import Filters, View
from gateway.web.house import House
from gateway.web.parameters import filters_of, shown
from gateway.web.viewer import Viewer


class NotHere(Exception):
    """There is no such thing, or not for this viewer: nobody learns which."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, checked.

    Attributes:
        viewer: who asks.
        view: what they may see.
        house: what is there.
        given: the parameters, each in its grammar.
        parts: what the path holds beyond the page's name.
        now: the clock.
    """

    viewer: Viewer
    view: View
    house: House
    given: Mapping[str, str]
    parts: tuple[str, ...]
    now: datetime

    @property
    def filters(self) -> Filters:
        """The period and the filters.

        Raises:
            BadParameter: the period ends before it begins.
        """
        return filters_of(self.given, self.now, self.viewer.scope)

    @property
    def settled(self) -> dict[str, str]:
        """The parameters with the period written out: what a permalink of this moment has."""
        filters = self.filters
        return {**self.given, "from": shown(filters.since), "to": shown(filters.until)}


@dataclass(frozen=True, slots=True)
class Shown:
    """A page: its template and what it holds.

    Attributes:
        words: the query in words.
        rows: how many rows matched.
        settled: the parameters that its permalink has.
    """

    template: str
    title: str
    words: str
    rows: int
    facts: Mapping[str, object] = field(default_factory=dict)
    settled: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """A file to take away: its name and type, its lines as they come, and the same facts as a page bears."""

    name: str
    kind: str
    words: str
    rows: int
    blocks: Iterator[bytes]
    settled: Mapping[str, str] = field(default_factory=dict)


Answer = Shown | Taken

_NAMES = {
    "end": "outcome", "wire": "wire", "countries": "countries", "source": "rule", "decision": "decision",
}  # fmt: skip


def words_of(what: str, filters: Filters) -> str:
    """A query in words."""
    said = [f"{_NAMES.get(name, name)} is {value}" for name, value in filters.values]
    where = f", where {' and '.join(said)}" if said else ""
    return f"{what} from {shown(filters.since)} until {shown(filters.until)} (UTC){where}"
