"""The parameters of a page: each has a grammar, and what is not in it is refused in words that quote nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

from gateway.audit.pages import Filters
from gateway.audit.periods import DAY
from gateway.audit.scope import Scope

MOST_QUERY = 2048
"""Bytes of a query string."""

_DAY = timedelta(days=1)
_USUAL_DAYS = 30


class BadParameter(Exception):
    """A parameter is not what the page takes. `name` is ours or empty; the message says what it takes."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name, self.reason = name, reason


def instant(text: str) -> datetime:
    """A day (its beginning), or an instant to the minute or second, in UTC.

    Raises:
        ValueError: it is none.
    """
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"):
        try:
            at = datetime.strptime(text.removesuffix("Z"), form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if 1970 < at.year < 9999:
            return at
    raise ValueError("a day such as 2026-11-25, or 2026-11-25T09:30, in UTC")


def instant_text(value: str) -> str:
    """The text of an instant, as it is.

    Raises:
        ValueError: it is none.
    """
    instant(value)
    return value


def _matching(pattern: str, reason: str) -> Callable[[str], str]:
    form = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if form.fullmatch(value) is None:
            raise ValueError(reason)
        return value

    return check


_word = _matching(r"[A-Za-z0-9_][A-Za-z0-9._:/@+-]{0,79}", "a name as the record has it")
_digest = _matching(r"[0-9a-f]{64}", "64 hex digits")
_call = _matching(r"[0-9a-f]{32}", "the id of a call, 32 hex digits")
_countries = _matching(r"[A-Z]{2}( [A-Z]{2}){0,39}", "countries by their two letters")
_place = _matching(r"[0-9]{1,16}-[0-9]{1,18}", "a place in the list, as a page's own link has it")
_number = _matching(r"[0-9]{1,18}", "a number")
_one_of = {
    "decision": _matching("allow|refuse", "allow or refuse"),
    "format": _matching("csv|ndjson|ocsf", "csv, ndjson or ocsf"),
}

GRAMMARS: Mapping[str, Callable[[str], str]] = {
    "from": instant_text,
    "to": instant_text,
    **dict.fromkeys(
        ("tenant", "end", "caller", "purpose", "wire", "operation", "processor", "agreement", "model", "source"), _word
    ),
    "countries": _countries,
    "call": _call,
    "after": _place,
    "before": _place,
    "old": _digest,
    "page": _number,
    "at": _number,
    **_one_of,
}
"""Every parameter that any page takes."""

FILTERS = (
    "tenant", "decision", "end", "caller", "purpose", "wire", "operation", "processor", "agreement", "countries",
    "model", "source",
)  # fmt: skip
PERIOD = ("from", "to")


def parse(query: str, takes: Iterable[str]) -> dict[str, str]:
    """The parameters of a query string. Empty ones, as a form sends them, are absent.

    Raises:
        BadParameter: too long, unknown, given twice, or outside its grammar.
    """
    if len(query) > MOST_QUERY:
        raise BadParameter("", "The address is too long.")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=32, encoding="ascii", errors="strict")
    except ValueError:
        raise BadParameter("", "The address holds characters that no parameter has.") from None
    allowed, found = frozenset(takes), dict[str, str]()
    for name, value in pairs:
        if name not in allowed:
            raise BadParameter(
                "", f"This page takes {', '.join(sorted(allowed)) or 'no parameters'}, and nothing else."
            )
        if name in found:
            raise BadParameter(name, f"{name} is given twice.")
        try:
            found[name] = GRAMMARS[name](value) if value else ""
        except ValueError as fault:
            raise BadParameter(name, f"{name} is {fault}.") from None
    return {name: value for name, value in found.items() if value}


def filters_of(given: Mapping[str, str], now: datetime, scope: Scope) -> Filters:
    """The period and the filters; the last 30 days where no period is given. Never wider than the scope's days.

    Raises:
        BadParameter: the period ends before it begins, or none of it may be seen.
    """
    first, end = scope.first_day * DAY, scope.end_day * DAY
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
    until = microseconds(instant(given["to"])) if "to" in given else min(microseconds(tomorrow), end)
    since = microseconds(instant(given["from"])) if "from" in given else max(until - _USUAL_DAYS * DAY, first)
    if since >= until:
        raise BadParameter("to", "to is not later than from.")
    since, until = max(since, first), min(until, end)
    if since >= until:
        raise BadParameter("from", "The period lies outside the days that you may see.")
    return Filters(since, until, tuple((name, given[name]) for name in FILTERS if name in given))


def place(text: str | None) -> tuple[int, int] | None:
    """A place in the list of calls. A forged one is a place like any other: it shows nothing more than a filter."""
    if text is None:
        return None
    time, _dash, seq = text.partition("-")
    return int(time), int(seq)


def address(path: str, given: Mapping[str, str], **changed: str | None) -> str:
    """A permalink: the parameters in their order, changed or left out (None) as said."""
    merged = {**given, **changed}
    ordered = [(name, value) for name in GRAMMARS if (value := merged.get(name))]
    return f"{path}?{urlencode(ordered)}" if ordered else path


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return round(at.timestamp()) * 1_000_000


def shown(instant_us: int) -> str:
    """An instant as `from` and `to` take it: a day where it is the beginning of one."""
    at = datetime.fromtimestamp(instant_us // 1_000_000, UTC)
    return f"{at:%Y-%m-%d}" if instant_us % DAY == 0 else f"{at:%Y-%m-%dT%H:%M:%S}"
