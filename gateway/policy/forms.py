"""How a reviewed file is shaped: strict forms, the kinds of value they hold, and our words for what is wrong.

A form is a pydantic model that knows every key. What it says about a fault is a path and a sentence
of ours: never the library's text, which quotes the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from gateway.policy.countries import ISO, NAMED

Path: TypeAlias = "tuple[str | int, ...]"
Report: TypeAlias = Callable[[Path, str], None]
"""Told of a fault: the path of keys and indices to it, and one sentence that says what to write."""

TO_BE_FILLED: Final = "TO_BE_FILLED"
"""Stands where evidence is still missing. What has any takes no traffic."""

_OURS = "gateway"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}").fullmatch
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,79}").fullmatch
_OPERATION = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*").fullmatch
_SHA256 = re.compile(r"[0-9a-f]{64}").fullmatch
_DATE = re.compile(r"\d{4}-\d\d-\d\d").fullmatch
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z").fullmatch


class Counted:
    """A report that knows how many faults it was told."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.faults = 0

    def __call__(self, path: Path, reason: str) -> None:
        """Pass a fault on."""
        self.faults += 1
        self._report(path, reason)


class Form(BaseModel):
    """A mapping of a reviewed file: types are exact, and a key that it does not know is a fault."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


F = TypeVar("F", bound=Form)


def misfit(reason: str) -> PydanticCustomError:
    """What a validator raises; `reason` is ours and holds no value."""
    return PydanticCustomError(_OURS, "{reason}", {"reason": reason})


def read(form: type[F], tree: object, report: Report) -> F | None:
    """Read a plain tree as a form, or report every fault and give None."""
    try:
        # By way of JSON, whose strict mode takes a list for a tuple but nothing else for anything.
        return form.model_validate_json(orjson.dumps(tree))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            report(tuple(step for step in detail["loc"] if step != "[key]"), _words(detail))
        return None


def unfilled(tree: object, at: Path = ()) -> list[Path]:
    """The paths at which evidence is still to be filled."""
    if isinstance(tree, dict):
        return [path for key, value in tree.items() for path in unfilled(value, (*at, key))]
    if isinstance(tree, list):
        return [path for index, value in enumerate(tree) for path in unfilled(value, (*at, index))]
    return [at] if tree == TO_BE_FILLED else []


def is_id(text: str) -> bool:
    """Whether this is an id, as `Id` takes it."""
    return _ID(text) is not None


def spelled(path: Path) -> str:
    """A path as people read it: `agreements[0].valid_from`."""
    out = ""
    for step in path:
        out += f"[{step}]" if isinstance(step, int) else f".{step}" if out else step
    return out


def gathered(paths: Iterable[Path]) -> str:
    """Many paths as people read them: `legal_entity (name, address), transfers[0] to [3] (reference, valid_from)`."""
    groups: dict[Path, list[str]] = {}
    for path in paths:
        nested = len(path) > 1 and isinstance(path[-1], str)
        groups.setdefault(path[:-1] if nested else path, []).extend([str(path[-1])] if nested else [])
    out: list[tuple[Path, Path, list[str]]] = []  # from, to, names
    for where, names in groups.items():
        if out and isinstance(where[-1], int) and out[-1][1:] == ((*where[:-1], where[-1] - 1), names):
            out[-1] = out[-1][0], where, names
        else:
            out.append((where, where, names))
    return ", ".join(
        spelled(first) + (f" to [{last[-1]}]" if last != first else "") + (f" ({', '.join(names)})" if names else "")
        for first, last, names in out
    )


_WORDS = {
    "missing": "this key is missing",
    "extra_forbidden": "unknown key; nothing reads it",
    "string_type": "write text here, in quotes if it looks like a number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "bool_type": "write true or false",
    "tuple_type": "write a list",
    "list_type": "write a list",
    "dict_type": "write keys with values",
    "model_type": "write keys with values",
    "model_attributes_type": "write keys with values",
    "finite_number": "write a finite number",
    "literal_error": "write one of {expected}",
    "too_short": "name at least {min_length}; an empty list does not mean all",
    "too_long": "name at most {max_length}",
}


def _words(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == _OURS:
        return str(context["reason"])
    if kind in _WORDS:
        return _WORDS[kind].format(**context)
    for bound, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        if bound in context:
            return f"write a number {word} {context[bound]}"
    return "this is not valid here"


# --- the kinds of value ------------------------------------------------------------------------------


def instant(text: str) -> datetime:
    """`2026-11-25` (its first instant) or `2026-11-25T09:30:00Z`, in UTC.

    Raises:
        ValueError: neither, or no day of the calendar.
    """
    if _DATE(text) or _TIME(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    raise ValueError("not an instant")


def _instant(value: object) -> datetime:
    try:
        return instant(value) if isinstance(value, str) else _never()
    except ValueError:
        raise misfit("write a date as 2026-11-25, or an instant as 2026-11-25T09:30:00Z") from None


def _instant_or_unfilled(value: object) -> datetime | None:
    return None if value == TO_BE_FILLED else _instant(value)


def _suspension(value: object) -> datetime | None:
    if value is False:
        return None
    if value is True:
        return datetime.min.replace(tzinfo=UTC)
    return _instant(value)


def _never() -> datetime:
    raise ValueError


def _matching(matches: Callable[[str], object], reason: str, *, may_be_unfilled: bool = False) -> AfterValidator:
    def check(value: str) -> str:
        if not matches(value) and not (may_be_unfilled and value == TO_BE_FILLED):
            raise misfit(reason)
        return value

    return AfterValidator(check)


def _prose(value: str) -> str:
    if not value or value != value.strip() or len(value) > 1000 or not value.isprintable():
        raise misfit("write a line of text, without spaces at its ends")
    return value


def _country_name(value: str) -> str:
    if value in ISO or value in NAMED:
        return value
    if value.upper() in ISO or value.upper() in NAMED:
        raise misfit("write countries in capitals")
    raise misfit(f"neither an ISO 3166-1 country code nor one of the sets {', '.join(NAMED)}")


def _text(pattern: str, *, may_be_unfilled: bool = False) -> WithJsonSchema:
    """What an editor may check of a text: the same grammar as ours, written for JSON Schema."""
    pattern = f"{pattern}|{TO_BE_FILLED}" if may_be_unfilled else pattern
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{pattern})$"})


_INSTANT_TEXT = r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,6})?Z)?"

Id = Annotated[
    str,
    _matching(_ID, "an id is lower-case letters, digits, - and _, begins with a letter or digit, at most 63 long"),
    _text(r"[a-z0-9][a-z0-9_-]{0,62}"),
]
ModelId = Annotated[
    str,
    _matching(_MODEL, "write one exact model id; patterns, spaces and letters outside ASCII match nothing"),
    _text(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,79}"),
]
OperationName = Annotated[
    str,
    _matching(_OPERATION, "write an operation's name as the surface spells it"),
    _text(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*"),
]
Sha256 = Annotated[
    str,
    _matching(_SHA256, f"write the SHA-256 as 64 lower-case hex digits, or {TO_BE_FILLED}", may_be_unfilled=True),
    _text(r"[0-9a-f]{64}", may_be_unfilled=True),
]
Digest = Annotated[str, _matching(_SHA256, "write a SHA-256 as 64 lower-case hex digits"), _text(r"[0-9a-f]{64}")]
Prose = Annotated[str, AfterValidator(_prose), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 1000})]
CountryName = Annotated[
    str,
    AfterValidator(_country_name),
    WithJsonSchema({"type": "string", "enum": [*NAMED, *sorted(ISO - NAMED.keys())]}),
]
Instant = Annotated[datetime, BeforeValidator(_instant), _text(_INSTANT_TEXT)]
Evidenced = Annotated[
    datetime | None, BeforeValidator(_instant_or_unfilled), _text(_INSTANT_TEXT, may_be_unfilled=True)
]
"""An instant, or None where it is `TO_BE_FILLED`."""
Suspension = Annotated[
    datetime | None,
    BeforeValidator(_suspension),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": f"^(?:{_INSTANT_TEXT})$"}]}),
]
"""From when it is suspended: `true` is always, `false` never."""
Days = Annotated[int, Field(ge=0, le=730)]
"""Days of notice."""
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Window(Form):
    """Something that holds in [valid_from, valid_until), and not while a date is still to be filled."""

    valid_from: Evidenced
    valid_until: Evidenced

    def holds(self, now: datetime) -> bool:
        """Whether `now` lies in it."""
        return (
            self.valid_from is not None and self.valid_until is not None and self.valid_from <= now < self.valid_until
        )
