"""Shapes of what holds values: lists, maps, objects with every key named, and one of several of these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.errors import Code, Rule
from gateway.exchange import Forced
from gateway.policy.rules.verdicts import Allow, Force, ForceBy
from gateway.policy.rules.walk import DROPPED, Misfit, Shape, Verdict, Walk
from providers.document import Document, Value

_DIGITS = re.compile(r"[0-9]{1,9}").fullmatch


@dataclass(frozen=True, slots=True)
class Json:
    """Any JSON (tool input, a schema that is not strict). Every string and key in it is content."""

    rule: Rule

    def read(self, value: Value, walk: Walk) -> Value:
        return value


@dataclass(frozen=True, slots=True)
class Schema:
    """A structured-output schema: it leaves only as the approved document of the same digest."""

    rule: Rule

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not dict:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a JSON Schema object is expected here", self.rule)
        approved = walk.approved(value)
        if approved is None:
            raise Misfit(Code.SCHEMA_NOT_APPROVED, "the digest of this schema is not approved", self.rule)
        return approved


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list whose every item has one shape."""

    rule: Rule
    item: Verdict

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not list:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a list is expected here", self.rule)
        read = self.item.read
        out: list[Value] = []
        watched = value is walk.watched
        before = walk.gathered if watched else 0
        for item in value:
            try:
                kept = read(item, walk)
            except Misfit as misfit:
                misfit.path.append(len(out))
                raise
            if kept is DROPPED:
                raise Misfit(Code.PARAMETER_RETAINS_DATA, "an item of this list may not leave", self.item.rule)
            if watched and walk.plain == len(out) and walk.gathered == before:
                walk.plain += 1
            out.append(kept)  # type: ignore[arg-type]  # DROPPED was excluded
        return out


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with free keys of digits (`logit_bias`) and values of one shape."""

    rule: Rule
    item: Shape

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not dict:
            raise Misfit(Code.PARAMETER_UNKNOWN, "an object is expected here", self.rule)
        if not all(map(_DIGITS, value)):
            raise Misfit(Code.PARAMETER_UNKNOWN, "keys of digits are expected here", self.rule)
        return {key: self.item.read(item, walk) for key, item in value.items()}


_TYPE_WORDS: Mapping[type, str] = {
    str: "string",
    list: "list",
    dict: "object",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class ByType:
    """One of several shapes, told apart by the JSON type of the value."""

    rule: Rule
    cases: Mapping[str, Verdict]

    def read(self, value: Value, walk: Walk) -> Value:
        case = self.cases.get(_TYPE_WORDS[type(value)])
        if case is None:
            raise Misfit(Code.PARAMETER_UNKNOWN, "a value of this JSON type is not expected here", self.rule)
        return case.read(value, walk)  # type: ignore[return-value]  # ListOf and Object refuse DROPPED


@dataclass(frozen=True, slots=True)
class Strictness:
    """How a tool's schema and its `strict` flag go together.

    A strict schema is compiled and cached by the provider outside the zero-retention promise, so it
    must be approved. `absent_is_strict` is the Responses API's habit of trying strict when the
    flag is missing: then false is forced.
    """

    flag: str
    schema: str
    absent_is_strict: bool
    label: str
    rule: Rule


@dataclass(slots=True)
class Object:
    """An object whose every key is named. Built empty and completed by the loader: shapes may recurse."""

    rule: Rule
    name: str
    fields: dict[str, Verdict] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    needed: dict[str, Code] = field(default_factory=dict)
    absent: list[tuple[str, Force | ForceBy]] = field(default_factory=list)
    strictness: Strictness | None = None

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not dict:
            raise Misfit(Code.PARAMETER_UNKNOWN, "an object is expected here", self.rule)
        out: Document = {}
        fields = self.fields
        for key, item in value.items():
            verdict = fields.get(key)
            if verdict is None:
                raise self._misfit(
                    f"?{list(value).index(key)}", Code.PARAMETER_UNKNOWN, "the surface does not name this field"
                )
            try:
                if type(verdict) is Allow:  # by far the most: its own `read` without the call
                    out[key] = None if item is None else verdict.shape.read(item, walk)
                    continue
                kept = verdict.read(item, walk)
            except Misfit as misfit:
                misfit.path.append(key)
                raise
            if kept is not DROPPED:
                out[key] = kept  # type: ignore[assignment]  # DROPPED was excluded
        if self.absent or self.required or self.needed or self.strictness is not None:
            self._complete(value, out, walk)
        return out

    def _complete(self, value: Document, out: Document, walk: Walk) -> None:
        for name, force in self.absent:
            if name not in value and (kept := force.when_absent(walk)) is not DROPPED:
                out[name] = kept  # type: ignore[assignment]  # DROPPED was excluded
        for name in self.required:
            if value.get(name) is None:
                raise self._misfit(name, Code.BODY_INVALID, "a required field is missing")
        for name, code in self.needed.items():
            if value.get(name) is None:
                rule = self.fields[name].rule
                raise self._misfit(name, code, "what the provider does without this field would keep data", rule)
        if self.strictness is not None:
            self._settle_strictness(self.strictness, value, out, walk)

    def _misfit(self, step: str, code: Code, reason: str, rule: Rule | None = None) -> Misfit:
        misfit = Misfit(code, reason, rule or self.rule)
        misfit.path.append(step)
        return misfit

    def _settle_strictness(self, strictness: Strictness, value: Document, out: Document, walk: Walk) -> None:
        wanted = value.get(strictness.flag)
        if wanted is False or (wanted is None and not strictness.absent_is_strict):
            return
        approved = walk.approved(value.get(strictness.schema))
        if approved is not None:
            out[strictness.schema] = approved
        elif wanted is None:
            out[strictness.flag] = False
            walk.forced.append(Forced(strictness.label, "false"))
        else:
            reason = "the digest of this strict schema is not approved"
            raise self._misfit(strictness.schema, Code.SCHEMA_NOT_APPROVED, reason, strictness.rule)


@dataclass(slots=True)
class Union:
    """One of several objects, told apart by a field whose values the surface names.

    `absent` is the case of an object without that field; `absent_with` maps the presence of another
    key to a case first. Completed by the loader: shapes may recurse.
    """

    rule: Rule
    name: str
    by: str
    cases: dict[str, Verdict] = field(default_factory=dict)
    absent: str | None = None
    absent_with: dict[str, str] = field(default_factory=dict)

    def read(self, value: Value, walk: Walk) -> Value:
        if type(value) is not dict:
            raise Misfit(Code.PARAMETER_UNKNOWN, "an object is expected here", self.rule)
        name = value.get(self.by)
        if name is None:
            name = next((case for key, case in self.absent_with.items() if key in value), self.absent)
        verdict = self.cases.get(name) if type(name) is str else None
        if verdict is None:
            misfit = Misfit(Code.PARAMETER_UNKNOWN, f"the surface names no such {self.by} here", self.rule)
            misfit.path.append(self.by)
            raise misfit
        return verdict.read(value, walk)  # type: ignore[return-value]  # cases are never dropped
