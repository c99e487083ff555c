"""Reads a surface file: its YAML, checked against the wire's own table, compiled to rules.

The grammar, for whoever edits `config/surfaces/WIRE.yaml`:

A *verdict* is a mapping with exactly one of these keys, beside `source`, `read`, `instead`, `note`:
  allow: SHAPE                          may be there
  conditional: GRANT, shape: SHAPE      may be there where an operator granted it by name;
                                        `code:` is what it meets otherwise (parameter_retains_data)
  refuse: CODE                          may not; `harmless: [false]` values count as absence
  force: VALUE                          the gateway sets it; VALUE may be `absent` or `pseudonym`;
                                        `contrary: refuse|replace`, `when_absent: set|leave`,
                                        `label:` for the header, `tolerated: [..]` values that pass
  force_by: TRAIT, cases: {T: VALUE}    set by a trait of the routed model; `unless: GRANT`, `shape:`
Anything else where a verdict stands is a SHAPE under `allow`.

A *SHAPE* is
  text id name blob sealed encoded integer number boolean model json schema      a word, or
  the name of an entry of `shapes:`, or
  [a, b]                                a closed list of constants
  {values: {a: VERDICT|allow}}          constants with a verdict each
  {list: VERDICT}                       a list
  {map: SHAPE}                          an object with keys of digits
  {types: {string|list|object|number|boolean|null: VERDICT}}     by JSON type
  {inline: KIND, form: data_url|base64, types: [MEDIA]}          bytes that no scan can read
  {url: {data: VERDICT, other: VERDICT}}                         a data URL, or any other string
An entry of `shapes:` may also be
  {fields: {NAME: VERDICT}, required: [..], strictness: {flag, schema, absent_is_strict, label},
   needed: {NAME: CODE}}                  without it the provider would keep data; its verdict says `instead`
  {by: FIELD, cases: {VALUE: VERDICT}, absent: CASE, absent_with: {KEY: CASE}}
and gives `source` (and `read`) to everything below it that has none of its own.

Every verdict has a source that `sources:` lists and the date it was read; every refusal says what to
do instead. What is not named is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from gateway.errors import Code, Rule
from gateway.policy.rules import (
    DROPPED,
    Allow,
    Blob,
    ByType,
    Conditional,
    Constant,
    Constants,
    EncodedJson,
    Force,
    ForceBy,
    Inline,
    Json,
    ListOf,
    MapOf,
    Misfit,
    Model,
    Name,
    Number,
    Object,
    Refuse,
    Schema,
    SealedText,
    Shape,
    Strictness,
    Text,
    Union,
    Url,
    Verdict,
    Walk,
    freeze,
)
from gateway.policy.surface import Surface
from providers.document import Opaque, Value
from providers.provider import Provider

Report = Callable[[tuple[str | int, ...], str], None]
Path = tuple[str | int, ...]

_VERDICTS = ("allow", "conditional", "refuse", "force", "force_by")
_COMMON = {"source", "read", "instead", "note"}
_EXTRA: Mapping[str, set[str]] = {
    "allow": set(),
    "conditional": {"shape", "code"},
    "refuse": {"harmless"},
    "force": {"contrary", "when_absent", "label", "tolerated", "code"},
    "force_by": {"cases", "unless", "shape"},
}
_MAGIC: Mapping[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
    "application/pdf": (b"%PDF-",),
    "audio/wav": (b"RIFF",),
    "audio/mpeg": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    "audio/flac": (b"fLaC",),
    "audio/ogg": (b"OggS",),
    "audio/webm": (b"\x1aE\xdf\xa3",),
    "audio/mp4": tuple(bytes((0, 0, 0, size)) + b"ftyp" for size in range(16, 68, 4)),
}


def parse(tree: object, wire: Provider, report: Report) -> Surface:
    """Compile a surface file.

    Args:
        tree: the parsed YAML.
        wire: the wire's table; a grant for an operation that it does not have is a fault.
        report: told of every fault, as (path of keys, reason). A surface with faults must not serve.
    """
    return _Loader(tree, wire, report).surface()


@dataclass(slots=True)
class _Scope:
    """Where the loader stands, and the source that what it finds inherits."""

    path: Path
    source: str | None
    read: str | None

    def into(self, *steps: str | int) -> _Scope:
        return _Scope((*self.path, *steps), self.source, self.read)


class _Loader:
    def __init__(self, tree: object, wire: Provider, report: Report) -> None:
        self._wire = wire
        self._report = report
        self._tree = self._mapping(tree, _Scope((), None, None))
        self._shapes: dict[str, Shape] = {}
        self._raw_shapes: dict[str, object] = {}
        self._vocabulary: set[str] = set()
        self._forced: set[str] = set()
        self._unscanned: set[str] = set()
        self._grants: dict[str, str] = {}
        self._traits: dict[str, frozenset[str]] = {}
        self._sources: dict[str, tuple[str, str]] = {}
        self._read: str | None = None

    # the whole file

    def surface(self) -> Surface:
        top = _Scope((), None, None)
        known = {
            "wire",
            "read",
            "sources",
            "grants",
            "traits",
            "operations",
            "paths",
            "headers",
            "query",
            "shapes",
            "answers",
        }
        for key in self._tree:
            if key not in known:
                self._report((key,), f"unknown key; known are {', '.join(sorted(known))}")
        if self._tree.get("wire") != self._wire.name:
            self._report(
                ("wire",), f"this file is read for the wire {self._wire.name}; write `wire: {self._wire.name}`"
            )
        self._read = self._date(self._tree.get("read"), ("read",))
        for key, raw in self._mapping(self._tree.get("sources"), top.into("sources")).items():
            entry = self._mapping(raw, top.into("sources", key))
            page = str(entry.get("page", ""))
            if not page:
                self._report(("sources", key, "page"), "say which page or document this is")
            self._sources[key] = (page, self._date(entry.get("read", self._read), ("sources", key, "read")) or "")
        for key, raw in self._mapping(self._tree.get("grants"), top.into("grants")).items():
            self._grants[key] = str(raw)
        for key, raw in self._mapping(self._tree.get("traits"), top.into("traits")).items():
            self._traits[key] = frozenset(str(value) for value in self._list(raw, ("traits", key)))
        self._named_shapes(self._mapping(self._tree.get("shapes"), top.into("shapes")))
        operations = self._operations(top.into("operations"))
        return Surface(
            wire=self._wire.name,
            operations=operations,
            refused_paths=self._paths(top.into("paths")),
            headers=self._headers(top.into("headers")),
            query={
                key: self._verdict(raw, top.into("query", key))
                for key, raw in self._mapping(self._tree.get("query") or {}, top.into("query")).items()
            },
            answers=self._answers(top.into("answers")),
            grants=self._grants,
            traits=self._traits,
            vocabulary=frozenset(self._vocabulary),
            shapes=self._shapes,
            forced=frozenset(self._forced | ({self._wire.usage_parameter} - {""})),
            unscanned=frozenset(self._unscanned),
            traits_needed={name: frozenset(_traits(verdict)) for name, verdict in operations.items()},
            sources=self._sources,
        )

    def _operations(self, scope: _Scope) -> dict[str, Verdict]:
        names = {operation.name for operation in self._wire.operations}
        out: dict[str, Verdict] = {}
        for key, raw in self._mapping(self._tree.get("operations"), scope).items():
            if key not in names:
                self._report(scope.into(key).path, "the wire has no such operation")
            verdict = self._verdict(raw, scope.into(key))
            if isinstance(verdict, Allow | Conditional):
                out[key] = verdict
        return out

    def _paths(self, scope: _Scope) -> dict[str, Rule]:
        out: dict[str, Rule] = {}
        for path, raw in self._mapping(self._tree.get("paths") or {}, scope).items():
            entry = self._mapping(raw, scope.into(path))
            methods = self._list(entry.get("methods"), scope.into(path, "methods").path)
            verdict = self._verdict({k: v for k, v in entry.items() if k != "methods"}, scope.into(path))
            if not isinstance(verdict, Refuse):
                self._report(scope.into(path).path, "a path here is refused; grant it under `operations`")
            for method in methods:
                out[f"{method} {path}"] = verdict.rule
        return out

    def _headers(self, scope: _Scope) -> dict[str, Constants]:
        out: dict[str, Constants] = {}
        for name, raw in self._mapping(self._tree.get("headers") or {}, scope).items():
            if name not in self._wire.forwarded_request_headers:
                self._report(scope.into(name).path, "the wire does not forward this header")
            shape = self._shape(raw, scope.into(name))
            if isinstance(shape, Constants):
                out[name] = shape
            else:
                self._report(scope.into(name).path, "a header is a closed list: write `values:`")
        return out

    def _answers(self, scope: _Scope) -> dict[str, dict[str, Verdict]]:
        out: dict[str, dict[str, Verdict]] = {}
        for namespace, raw in self._mapping(self._tree.get("answers"), scope).items():
            entries = dict(self._mapping(raw, scope.into(namespace)))
            inner = self._inherit(entries, scope.into(namespace))
            out[namespace] = {
                name: self._verdict(entry, inner.into(name)) for name, entry in entries.items() if name not in _COMMON
            }
        return out

    # shapes

    def _named_shapes(self, raws: Mapping[str, object]) -> None:
        """Objects and unions first, empty, so that shapes may recurse; then the rest; then their insides."""
        scope = _Scope(("shapes",), None, None)
        bodies: list[tuple[Object | Union, Mapping[str, object], _Scope]] = []
        for name, raw in raws.items():
            if name in _WORDS:
                self._report(scope.into(name).path, "this word already names a shape")
            if not isinstance(raw, dict) or not raw.keys() & {"fields", "by"}:
                self._raw_shapes[name] = raw
                continue
            inner = self._inherit(raw, scope.into(name))
            rule = self._rule({}, inner, refusal=False)
            shape = Object(rule, name) if "fields" in raw else Union(rule, name, str(raw["by"]))
            self._shapes[name] = shape
            bodies.append((shape, raw, inner))
        for name in list(self._raw_shapes):
            self._named(name, scope.into(name))
        for shape, raw, inner in bodies:
            if isinstance(shape, Object):
                self._complete_object(shape, raw, inner)
            else:
                self._complete_union(shape, raw, inner)
        for shape, _raw, _inner in bodies:
            if isinstance(shape, Union):
                for key, verdict in shape.cases.items():
                    self._name_case(getattr(verdict, "shape", None), shape.by, key)

    def _complete_object(self, shape: Object, raw: Mapping[str, object], scope: _Scope) -> None:
        self._unknown(raw, {"fields", "required", "needed", "strictness"} | _COMMON, scope)
        for key, entry in self._mapping(raw["fields"], scope.into("fields")).items():
            self._vocabulary.add(key)
            verdict = self._verdict(entry, scope.into("fields", key), label=key)
            shape.fields[key] = verdict
            if isinstance(verdict, ForceBy) or (
                isinstance(verdict, Force) and verdict.set_when_absent and verdict.value is not DROPPED
            ):
                shape.absent.append((key, verdict))
        shape.required = tuple(str(item) for item in self._list(raw.get("required", []), scope.into("required").path))
        for key in shape.required:
            if key not in shape.fields:
                self._report(scope.into("required").path, "a required field is not among `fields`")
        for key, code in self._mapping(raw.get("needed") or {}, scope.into("needed")).items():
            here = scope.into("needed", key)
            if key not in shape.fields:
                self._report(here.path, "a needed field is not among `fields`")
            elif shape.fields[key].rule.instead is None:
                self._report(here.path, "its verdict under `fields` must say what a caller should do `instead`")
            else:
                shape.needed[key] = self._code(code, here.path)
        if "strictness" in raw:
            entry = self._mapping(raw["strictness"], scope.into("strictness"))
            self._unknown(entry, {"flag", "schema", "absent_is_strict", "label"} | _COMMON, scope.into("strictness"))
            rule = self._rule(entry, scope.into("strictness"), refusal=True)
            flag, schema = str(entry.get("flag")), str(entry.get("schema"))
            label = str(entry.get("label", flag))
            self._forced.add(label)
            shape.strictness = Strictness(flag, schema, entry.get("absent_is_strict") is True, label, rule)

    def _complete_union(self, shape: Union, raw: Mapping[str, object], scope: _Scope) -> None:
        self._unknown(raw, {"by", "cases", "absent", "absent_with"} | _COMMON, scope)
        self._vocabulary.add(shape.by)
        for key, entry in self._mapping(raw.get("cases"), scope.into("cases")).items():
            shape.cases[key] = self._verdict(entry, scope.into("cases", key))
        if raw.get("absent") is not None:
            shape.absent = str(raw["absent"])
        for key, case in self._mapping(raw.get("absent_with") or {}, scope.into("absent_with")).items():
            shape.absent_with[key] = str(case)
        for case in (*shape.absent_with.values(), *([shape.absent] if shape.absent else [])):
            if case not in shape.cases:
                self._report(scope.path, "`absent` names a case that is not there")

    def _name_case(self, shape: Shape | None, by: str, key: str) -> None:
        """The field that tells the cases apart is one of the case's own fields, as our constant."""
        if isinstance(shape, Union):
            for verdict in shape.cases.values():
                self._name_case(getattr(verdict, "shape", None), by, key)
        if not isinstance(shape, Object):
            return
        own = shape.fields.get(by)
        values = own.shape.values if isinstance(own, Allow) and isinstance(own.shape, Constants) else {}
        if own is None or values:
            constant: Verdict = Allow(shape.rule, Constant(Opaque(key)))
            shape.fields[by] = Allow(shape.rule, Constants(shape.rule, {**values, key: constant}))

    def _shape(self, raw: object, scope: _Scope) -> Shape:
        if isinstance(raw, str):
            return self._named(raw, scope)
        if isinstance(raw, list):
            rule = self._rule({}, scope, refusal=False)
            return Constants(rule, {str(value): Allow(rule, Constant(Opaque(str(value)))) for value in raw})
        if isinstance(raw, dict):
            return self._anonymous(raw, self._inherit(raw, scope))
        return self._no_shape(scope)

    def _named(self, name: str, scope: _Scope) -> Shape:
        if name in _WORDS:
            return _WORDS[name](self._rule({}, scope, refusal=False))
        if name not in self._shapes and name in self._raw_shapes:
            raw = self._raw_shapes.pop(name)
            here = _Scope(("shapes", name), None, None)
            inner = self._inherit(raw, here) if isinstance(raw, dict) else here
            self._shapes[name] = self._shape(raw["is"] if isinstance(raw, dict) and "is" in raw else raw, inner)
        if name in self._shapes:
            return self._shapes[name]
        self._report(scope.path, "no shape has this name")
        return _NOTHING

    def _anonymous(self, raw: Mapping[str, object], scope: _Scope) -> Shape:  # noqa: PLR0911  # one return for each form
        rule = self._rule({}, scope, refusal=False)
        keys = set(raw) - _COMMON
        if keys == {"values"}:
            return Constants(rule, self._values(raw["values"], scope.into("values")))
        if keys == {"list"}:
            return ListOf(rule, self._verdict(raw["list"], scope.into("list")))
        if keys == {"map"}:
            return MapOf(rule, self._shape(raw["map"], scope.into("map")))
        if keys == {"types"}:
            cases = self._mapping(raw["types"], scope.into("types"))
            return ByType(rule, {key: self._verdict(entry, scope.into("types", key)) for key, entry in cases.items()})
        if keys == {"url"}:
            kinds = self._mapping(raw["url"], scope.into("url"))
            if kinds.keys() != {"data", "other"}:
                return self._no_shape(scope)
            data, other = (self._verdict(kinds[kind], scope.into("url", kind)) for kind in ("data", "other"))
            return Url(rule, data, other)
        if keys == {"inline", "form", "types"}:
            return self._inline(raw, scope, rule)
        return self._no_shape(scope)

    def _inline(self, raw: Mapping[str, object], scope: _Scope, rule: Rule) -> Shape:
        types = [str(item) for item in self._list(raw["types"], scope.into("types").path)]
        for item in types:
            if item not in _MAGIC:
                self._report(scope.into("types").path, "this media type has no known leading bytes")
        self._unscanned.add(str(raw["inline"]))
        if raw["form"] not in ("data_url", "base64"):
            self._report(scope.into("form").path, "write `data_url` or `base64`")
        return Inline(
            rule, str(raw["inline"]), raw["form"] == "data_url", {item: _MAGIC.get(item, ()) for item in types}
        )

    def _no_shape(self, scope: _Scope) -> Shape:
        self._report(scope.path, "this is no shape; see the grammar at the head of gateway/policy/grammar.py")
        return _NOTHING

    def _values(self, raw: object, scope: _Scope) -> dict[str, Verdict]:
        out: dict[str, Verdict] = {}
        for key, entry in self._mapping(raw, scope).items():
            constant = Constant(Opaque(key))
            here = scope.into(key)
            if entry == "allow":
                out[key] = Allow(self._rule({}, here, refusal=False), constant)
                continue
            verdict = self._verdict(entry, here, constant=constant)
            out[key] = verdict
        return out

    # verdicts

    def _verdict(self, raw: object, scope: _Scope, *, label: str = "", constant: Constant | None = None) -> Verdict:
        kinds = [kind for kind in _VERDICTS if isinstance(raw, dict) and kind in raw]
        if not isinstance(raw, dict) or not kinds:
            return Allow(self._rule({}, scope, refusal=False), constant or self._shape(raw, scope))
        if len(kinds) > 1:
            self._report(scope.path, f"one verdict, not {' and '.join(kinds)}")
        kind = kinds[0]
        self._unknown(raw, {kind} | _EXTRA[kind] | _COMMON, scope)
        inner = self._inherit(raw, scope)
        rule = self._rule(raw, inner, refusal=kind in {"refuse", "conditional"})
        if kind == "allow":
            word = _WORDS.get(raw["allow"]) if isinstance(raw["allow"], str) else None
            return Allow(rule, constant or (word(rule) if word else self._shape(raw["allow"], inner.into("allow"))))
        if kind == "conditional":
            return self._conditional(raw, inner, rule, constant)
        if kind == "refuse":
            harmless = tuple(cast("list[Value]", self._list(raw.get("harmless", []), inner.into("harmless").path)))
            return Refuse(rule, self._code(raw["refuse"], inner.into("refuse").path), harmless)
        if kind == "force":
            return self._force(raw, inner, rule, label)
        return self._force_by(raw, inner, rule, label)

    def _conditional(
        self, raw: Mapping[str, object], scope: _Scope, rule: Rule, constant: Constant | None
    ) -> Conditional:
        grant = str(raw["conditional"])
        if grant not in self._grants:
            self._report(scope.into("conditional").path, "`grants:` does not list this name")
        code = self._code(raw.get("code", Code.PARAMETER_RETAINS_DATA.value), scope.into("code").path)
        shape: Shape = constant or (self._shape(raw["shape"], scope.into("shape")) if "shape" in raw else Json(rule))
        return Conditional(rule, grant, shape, code)

    def _force(self, raw: Mapping[str, object], scope: _Scope, rule: Rule, label: str) -> Force:
        value = raw["force"]
        self._forced.add(str(raw.get("label", label)))
        contrary = str(raw.get("contrary", "refuse"))
        if contrary not in {"refuse", "replace"}:
            self._report(scope.into("contrary").path, "write `refuse` or `replace`")
        if contrary == "refuse" and value not in ("absent", "pseudonym") and rule.instead is None:
            self._report(scope.path, "a contrary value is refused, so say what to do `instead`")
        return Force(
            rule,
            str(raw.get("label", label)),
            DROPPED if value in ("absent", "pseudonym") else freeze(cast("Value", value)),
            contrary=contrary,
            set_when_absent=raw.get("when_absent", "set") == "set" and value != "pseudonym",
            pseudonym=value == "pseudonym",
            code=self._code(raw.get("code", Code.PARAMETER_RETAINS_DATA.value), scope.into("code").path),
            tolerated=tuple(
                cast("Value", item) for item in self._list(raw.get("tolerated", []), scope.into("tolerated").path)
            ),
        )

    def _force_by(self, raw: Mapping[str, object], scope: _Scope, rule: Rule, label: str) -> ForceBy:
        trait = str(raw["force_by"])
        self._forced.add(label)
        cases = self._mapping(raw.get("cases"), scope.into("cases"))
        if frozenset(cases) != self._traits.get(trait):
            self._report(scope.into("cases").path, "give one case for each value that `traits:` lists, no more")
        values = {key: DROPPED if value == "absent" else freeze(cast("Value", value)) for key, value in cases.items()}
        unless = None if raw.get("unless") is None else str(raw["unless"])
        if unless is not None and unless not in self._grants:
            self._report(scope.into("unless").path, "`grants:` does not list this name")
        shape = self._shape(raw["shape"], scope.into("shape")) if "shape" in raw else None
        return ForceBy(rule, label, trait, values, unless, shape)

    # small things

    def _rule(self, raw: Mapping[str, object], scope: _Scope, *, refusal: bool) -> Rule:
        instead = raw.get("instead")
        if refusal and not instead:
            self._report(scope.path, "say what a caller should do `instead`")
        if scope.source is None:
            return Rule("surface", None if instead is None else str(instead))
        date = scope.read or self._sources.get(scope.source, ("", ""))[1] or self._read
        return Rule(f"{scope.source} {date}", None if instead is None else str(instead))

    def _inherit(self, raw: Mapping[str, object], scope: _Scope) -> _Scope:
        source = raw.get("source", scope.source)
        if source is not None and source not in self._sources:
            self._report(scope.into("source").path, "`sources:` does not list this key")
        read = self._date(raw["read"], scope.into("read").path) if "read" in raw else scope.read
        return _Scope(scope.path, None if source is None else str(source), read)

    def _code(self, raw: object, path: Path) -> Code:
        try:
            return Code(str(raw))
        except ValueError:
            self._report(path, "no refusal code has this name")
            return Code.PARAMETER_RETAINS_DATA

    def _date(self, raw: object, path: Path) -> str | None:
        text = str(raw)
        if len(text) == 10 and text[4] == text[7] == "-":
            return text
        self._report(path, "a date is needed here, as YYYY-MM-DD")
        return None

    def _mapping(self, raw: object, scope: _Scope) -> Mapping[str, object]:
        if isinstance(raw, dict) and all(isinstance(key, str) for key in raw):
            return raw
        self._report(scope.path, "a mapping with words as keys is needed here")
        return {}

    def _list(self, raw: object, path: Path) -> list[object]:
        if isinstance(raw, list):
            return raw
        self._report(path, "a list is needed here")
        return []

    def _unknown(self, raw: Mapping[str, object], known: set[str], scope: _Scope) -> None:
        for key in raw:
            if key not in known:
                self._report(scope.into(key).path, f"unknown key; known are {', '.join(sorted(known))}")


class _Nothing:
    """A shape that refuses all; stands where a faulty one was written."""

    def read(self, value: Value, walk: Walk) -> Value:
        raise Misfit(Code.PARAMETER_UNKNOWN, "the surface has a fault here", Rule("surface"))


_NOTHING = _Nothing()
_WORDS: Mapping[str, Callable[[Rule], Shape]] = {
    "text": Text,
    "id": Name,
    "name": lambda rule: Name(rule, 128),
    "blob": Blob,
    "sealed": SealedText,
    "encoded": EncodedJson,
    "integer": lambda rule: Number(rule, (int,), "a whole number"),
    "number": lambda rule: Number(rule, (int, float), "a number"),
    "boolean": lambda rule: Number(rule, (bool,), "true or false"),
    "model": Model,
    "json": Json,
    "schema": Schema,
}


def _traits(verdict: Verdict) -> list[str]:
    shape = getattr(verdict, "shape", None)
    if not isinstance(shape, Object):
        return []
    return [force.trait for force in shape.fields.values() if isinstance(force, ForceBy)]
