"""The frame of every page: templates that escape by themselves, and the words and numbers as people read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gateway.web.charts import when
from gateway.web.parameters import address, shown

NOTHING = "\N{EN DASH}"
HERE = Path(__file__).resolve().parent

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""What a page may load: its own style sheet, script and pictures, and nothing else."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


_DIGEST = re.compile(r"[0-9a-f]{32,}")


class Frame:
    """Renders templates. Values are escaped; a name that a template uses and nobody gave is an error, not a blank."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(_FILTERS)
        self._environment.globals.update(_GLOBALS)

    def render(self, template: str, values: Mapping[str, object]) -> bytes:
        """A page as bytes."""
        return self._environment.get_template(template).render(**values).encode()


def utc(instant: int | None, headed: bool = False) -> Markup:  # a filter of templates
    """Microseconds since 1970 as a time element in UTC, to the second; the script adds the reader's own time.

    `headed`: the head of the column says that it is UTC.
    """
    if instant is None:
        return Markup.escape(NOTHING)
    at = datetime.fromtimestamp(instant // 1_000_000, UTC)
    zone = "" if headed else " UTC"
    return Markup('<time datetime="{0:%Y-%m-%dT%H:%M:%SZ}">{0:%Y-%m-%d %H:%M:%S}{1}</time>').format(at, zone)


def day(instant: int | None) -> Markup:
    """The day of an instant, likewise."""
    if instant is None:
        return Markup.escape(NOTHING)
    at = datetime.fromtimestamp(instant // 1_000_000, UTC)
    return Markup('<time datetime="{0:%Y-%m-%d}">{0:%Y-%m-%d}</time>').format(at)


def count(number: int | None) -> str:
    """A number with thousands apart."""
    return NOTHING if number is None else f"{number:,}"


def words(text: object) -> str:
    """A word of the record as people read it."""
    return str(text).replace("_", " ")


def short(text: str) -> str:
    """The beginning of a long digest."""
    return f"{text[:16]}…" if len(text) > 16 else text


def written(value: object) -> str:
    """A value of a record as text."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def told(value: object) -> str:
    """A fact of an operator record: lists as a sentence has them, digests by their beginning, all else whole."""
    if isinstance(value, list):
        return "; ".join(": ".join(map(told, each)) if isinstance(each, list) else told(each) for each in value)
    if isinstance(value, str):
        return short(value) if _DIGEST.fullmatch(value) else value
    return written(value)


def size(number: int) -> str:
    """Bytes for people."""
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{number / 1e3:.0f} kB"


def ago(seconds: int | None) -> str:
    """How long ago, roughly."""
    if seconds is None:
        return "never"
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}s ago"
    return f"{max(seconds, 0)} seconds ago"


_version = sha256(b"".join((HERE / "static" / name).read_bytes() for name in ("style.css", "check.js"))).hexdigest()[
    :12
]

_FILTERS: Mapping[str, Callable[..., object]] = {
    "utc": utc,
    "day": day,
    "count": count,
    "words": words,
    "told": told,
    "size": size,
    "ago": ago,
}
_GLOBALS: Mapping[str, object] = {"address": address, "shown": shown, "when": when, "styles": _version}
