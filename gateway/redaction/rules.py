"""`config/recognizers/` as tables: rules of evidence, and what must or must not stand round them.

One mapping a category, and one, `context`, with what they share. A *rule* lists terms and patterns
that may reveal a category; a candidate counts when one of the rule's `needs` (links to a person)
holds in the text round it and none of its `unless` does. An *idiom* is a longer harmless stretch
that swallows the term inside it. Scanning is RE2: linear in the text, whatever the text is.

Patterns are RE2 over lower-case ASCII (`folding` makes the text so, and folds the rules alike):
a space stands for any gap between two words, fillers included; `<name>` for a macro of `context`;
a group `(…)` marks the part that is the finding, where it is not the whole.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import re2

from gateway.categories import Category
from gateway.redaction.folding import fold, fold_rule
from gateway.redaction.plain import Plain

Path: TypeAlias = "tuple[str | int, ...]"
Report: TypeAlias = Callable[[Path, str], None]
"""Called with the path of a fault (the first part is the file's stem) and the reason."""

CONTEXT = "context"
_GAP = r"""[ \t\n",.'*/-]+"""
_MEMORY = 256 << 20
_MACRO = re.compile(r"<([a-z_]+)>")
_BRACES = re.compile(r"\{([^{}]*)\}")

_RULE_KEYS = frozenset({"name", "score", "needs", "unless", "terms", "patterns", "cased"})
_FILE_KEYS = frozenset({"rules", "idioms", "examples", "presidio"})
_CONTEXT_KEYS = frozenset({"macros", "links", "vetoes", "idioms"})
_PRESIDIO_KEYS = frozenset({"name", "patterns", "deny_list", "deny_list_score"})


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence of a category's file. Each of `found` must be touched; without any, nothing may be."""

    category: Category
    text: str
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Around:
    """Text that must stand before (ending at) or after (starting at) a candidate."""

    before: re2._Regexp | None
    after: re2._Regexp | None

    def holds(self, before: bytes, after: bytes) -> bool:
        return bool(
            (self.before is not None and self.before.search(before))
            or (self.after is not None and self.after.search(after))
        )


@dataclass(frozen=True, slots=True)
class Rule:
    category: Category
    name: str
    score: float
    needs: tuple[Around, ...]
    """All of these; empty if it needs nobody."""
    unless: Around | None
    cased: bool


@dataclass(frozen=True, slots=True)
class Custom:
    """An operator's own recogniser: `patterns` are (name, RE2, score), `words` a deny list."""

    category: Category
    name: str
    patterns: tuple[tuple[str, str, float], ...]
    words: tuple[str, ...]
    words_score: float


@dataclass(slots=True)
class Compiled:
    """Everything a worker needs, made once. `examples` are for the tests and the self-test."""

    scanner: re2._Regexp
    literals: dict[bytes, tuple[Rule, ...]]
    pattern_set: re2.Set | None
    patterns: list[tuple[Rule, re2._Regexp]]
    idioms: frozenset[bytes]
    idiom_set: re2.Set | None
    custom: list[Custom]
    examples: tuple[Example, ...]


_GAPS = re.compile(_GAP.encode())


def canonical(piece: bytes) -> bytes:
    """The match with every gap as one space, as the tables spell it."""
    return _GAPS.sub(b" ", piece)


class RulesInvalid(ValueError):
    """The mappings are not rules. The faults went to the report."""


@dataclass(slots=True)
class _Draft:
    report: Report
    macros: dict[str, str] = field(default_factory=dict)
    around: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    joined: dict[tuple[str, ...], Around] = field(default_factory=dict)
    literals: dict[bytes, list[Rule]] = field(default_factory=dict)
    patterns: list[tuple[Rule, str]] = field(default_factory=list)
    idioms: set[bytes] = field(default_factory=set)
    idiom_patterns: list[str] = field(default_factory=list)
    custom: list[Custom] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    faults: int = 0

    def fault(self, path: Path, reason: str) -> None:
        self.faults += 1
        self.report(path, reason)


def ignore(_path: Path, _reason: str) -> None:
    """A caller that needs only to know whether the rules are valid."""


def compile_rules(mappings: Mapping[str, Plain], report: Report = ignore) -> Compiled:
    """Check and compile what `config/recognizers/*.yaml` hold, by file stem.

    Every fault is reported, with its path and a reason, before anything is raised.

    Raises:
        RulesInvalid: there was a fault; nothing may be scanned with such rules.
    """
    draft = _Draft(report)
    shared = mappings.get(CONTEXT)
    if shared is not None:
        _read_context(draft, shared)
    for category in Category:
        if category.value not in mappings:
            draft.fault((category.value,), "this category has no file; every category must be known")
    for stem, mapping in mappings.items():
        if stem == CONTEXT:
            continue
        if stem not in Category.__members__:
            draft.fault((stem,), "no special category is called so; write one of the eight codes, or `context`")
            continue
        _read_category(draft, Category(stem), mapping)
    if draft.faults:
        raise RulesInvalid("the recognisers have faults")
    return _assemble(draft)


def _read_context(draft: _Draft, mapping: Plain) -> None:
    top = _table(draft, (CONTEXT,), mapping, _CONTEXT_KEYS)
    for name, value in _table(draft, (CONTEXT, "macros"), top.get("macros"), None).items():
        words = _strings(draft, (CONTEXT, "macros", name), value)
        alternatives = [_expand(draft, (CONTEXT, "macros", name, index), word) for index, word in enumerate(words)]
        draft.macros[name] = "(?:" + "|".join(sorted(set(itertools.chain.from_iterable(alternatives)))) + ")"
    for kind in ("links", "vetoes"):
        for name, value in _table(draft, (CONTEXT, kind), top.get(kind), None).items():
            sides = _table(draft, (CONTEXT, kind, name), value, frozenset({"before", "after"}))
            before, after = (_side(draft, (CONTEXT, kind, name, side), sides.get(side)) for side in ("before", "after"))
            draft.around[name] = before, after
    _read_idioms(draft, (CONTEXT, "idioms"), top.get("idioms"))


def _side(draft: _Draft, path: Path, value: Plain) -> list[str]:
    sources = [
        pattern
        for index, word in enumerate(_strings(draft, path, value))
        for pattern in _expand(draft, (*path, index), word)
    ]
    return [source for source in sources if _regexp(draft, path, source) is not None]


def _around(draft: _Draft, names: tuple[str, ...]) -> Around:
    """Several links, or vetoes, as one: any of them. One search a side, however many there are."""
    joined = draft.joined.get(names)
    if joined is None:
        before = [source for name in names for source in draft.around[name][0]]
        after = [source for name in names for source in draft.around[name][1]]
        joined = draft.joined[names] = Around(
            re2.compile(f"(?i)(?:{'|'.join(before)})(?:{_GAP})?\\z".encode(), linear_options()) if before else None,
            re2.compile(f"(?i)\\A(?:{_GAP})?(?:{'|'.join(after)})".encode(), linear_options()) if after else None,
        )
    return joined


def _read_category(draft: _Draft, category: Category, mapping: Plain) -> None:
    top = _table(draft, (category.value,), mapping, _FILE_KEYS)
    rules = top.get("rules") or []
    if not isinstance(rules, list):
        draft.fault((category.value, "rules"), "write a list of rules")
        rules = []
    for index, rule in enumerate(rules):
        _read_rule(draft, (category.value, "rules", index), category, rule)
    _read_idioms(draft, (category.value, "idioms"), top.get("idioms"))
    _read_examples(draft, category, top.get("examples"))
    custom = top.get("presidio") or []
    if not isinstance(custom, list):
        draft.fault((category.value, "presidio"), "write a list of recognisers")
        custom = []
    for index, entry in enumerate(custom):
        _read_custom(draft, (category.value, "presidio", index), category, entry)


def _read_rule(draft: _Draft, path: Path, category: Category, value: Plain) -> None:
    rule = _table(draft, path, value, _RULE_KEYS)
    name = rule.get("name")
    if not isinstance(name, str) or not name:
        draft.fault((*path, "name"), "a rule needs a name")
        return
    score = rule.get("score", 0.8)
    if not isinstance(score, float) or not 0 < score <= 1:
        draft.fault((*path, "score"), "write a score above 0 and at most 1.0")
        return
    groups = _strings(draft, (*path, "needs"), rule.get("needs"))
    unless = tuple(_strings(draft, (*path, "unless"), rule.get("unless")))
    wanted = tuple(tuple(part.strip() for part in group.split("|")) for group in groups)
    for used in (*itertools.chain.from_iterable(wanted), *unless):
        if used not in draft.around:
            draft.fault(path, f"`{used}` is neither a link nor a veto of context.yaml")
            return
    cased = rule.get("cased", False)
    if not isinstance(cased, bool):
        draft.fault((*path, "cased"), "write true or false")
        return
    needs = tuple(_around(draft, group) for group in wanted)
    made = Rule(category, name, score, needs, _around(draft, unless) if unless else None, cased)
    terms = _strings(draft, (*path, "terms"), rule.get("terms"))
    patterns = _strings(draft, (*path, "patterns"), rule.get("patterns"))
    if not terms and not patterns:
        draft.fault(path, "a rule without terms and patterns finds nothing")
    for literal in itertools.chain.from_iterable(map(_literals, terms)):
        draft.literals.setdefault(literal, []).append(made)
    draft.patterns.extend((made, source) for source in _sources(draft, (*path, "patterns"), patterns))


def _sources(draft: _Draft, path: Path, patterns: list[str]) -> Iterator[str]:
    """The patterns written out, those that RE2 can run."""
    for index, pattern in enumerate(patterns):
        for source in _expand(draft, (*path, index), pattern):
            if _regexp(draft, (*path, index), source) is not None:
                yield source


def _read_idioms(draft: _Draft, path: Path, value: Plain) -> None:
    for index, idiom in enumerate(_strings(draft, path, value)):
        if re.search(r"[\\\[\]()|?*+.<]", idiom):
            for source in _expand(draft, (*path, index), idiom):
                if _regexp(draft, (*path, index), source) is not None:
                    draft.idiom_patterns.append(source)
        else:
            draft.idioms.update(_literals(idiom))


def _read_examples(draft: _Draft, category: Category, value: Plain) -> None:
    path: Path = (category.value, "examples")
    examples = _table(draft, path, value, frozenset({"positive", "negative"}))
    for index, marked in enumerate(_strings(draft, (*path, "positive"), examples.get("positive"))):
        found = tuple(re.findall(r"\[\[(.+?)\]\]", marked))
        if not found:
            draft.fault((*path, "positive", index), "mark what must be found: [[...]]")
        draft.examples.append(Example(category, marked.replace("[[", "").replace("]]", ""), found))
    for text in _strings(draft, (*path, "negative"), examples.get("negative")):
        draft.examples.append(Example(category, text, ()))


def _read_custom(draft: _Draft, path: Path, category: Category, value: Plain) -> None:
    """An operator's own recogniser in Presidio's words. Patterns go through RE2 first: only a linear one may run."""
    entry = _table(draft, path, value, _PRESIDIO_KEYS)
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        draft.fault((*path, "name"), "a recogniser needs a name")
        return
    patterns: list[tuple[str, str, float]] = []
    listed = entry.get("patterns") or []
    if not isinstance(listed, list):
        draft.fault((*path, "patterns"), "write a list of patterns")
        listed = []
    for index, item in enumerate(listed):
        where = (*path, "patterns", index)
        pattern = _table(draft, where, item, frozenset({"name", "regex", "score"}))
        title, regex, score = pattern.get("name"), pattern.get("regex"), pattern.get("score")
        if (
            not isinstance(title, str)
            or not isinstance(regex, str)
            or not isinstance(score, float)
            or not 0 < score <= 1
        ):
            draft.fault(where, "a pattern needs a name, a regex, and a score above 0 and at most 1.0")
        elif _regexp(draft, where, fold_rule(regex)) is not None:
            patterns.append((title, fold_rule(regex), score))
    words = [fold(word).shadow for word in _strings(draft, (*path, "deny_list"), entry.get("deny_list"))]
    deny_score = entry.get("deny_list_score", 1.0)
    if not isinstance(deny_score, float) or not 0 < deny_score <= 1:
        draft.fault((*path, "deny_list_score"), "write a score above 0 and at most 1.0")
    elif not patterns and not words:
        draft.fault(path, "a recogniser needs `patterns` or a `deny_list`")
    else:
        draft.custom.append(Custom(category, name, tuple(patterns), tuple(words), deny_score))


def _assemble(draft: _Draft) -> Compiled:
    # Sorted, because RE2 shares the beginnings of neighbours only: a third of the states and of the time.
    spelled = [gapped(re2.escape(literal.decode("ascii"))) for literal in sorted({*draft.literals, *draft.idioms})]
    sources = [*spelled, *(source for _rule, source in draft.patterns), *draft.idiom_patterns]
    options = linear_options()
    options.longest_match = True
    options.never_capture = True
    scanner = re2.compile((r"\b(?:" + "|".join(sources) + r")\b").encode("ascii"), options)
    return Compiled(
        scanner=scanner,
        literals={literal: tuple(rules) for literal, rules in draft.literals.items()},
        pattern_set=_set([source for _rule, source in draft.patterns]),
        patterns=[(rule, re2.compile(source.encode("ascii"), linear_options())) for rule, source in draft.patterns],
        idioms=frozenset(draft.idioms),
        idiom_set=_set(draft.idiom_patterns),
        custom=draft.custom,
        examples=tuple(draft.examples),
    )


def _set(sources: list[str]) -> re2.Set | None:
    if not sources:
        return None
    options = linear_options()
    options.never_capture = True
    made = re2.Set.FullMatchSet(options)
    for source in sources:
        made.Add(source.encode("ascii"))
    made.Compile()
    return made


def linear_options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _MEMORY  # too little makes RE2 fall back, or fail, with no more than a log line
    options.log_errors = False
    return options


def _regexp(draft: _Draft, path: Path, source: str) -> re2._Regexp | None:
    try:
        return re2.compile(source.encode("ascii"), linear_options())
    except (re2.error, UnicodeEncodeError):
        draft.fault(path, "this is not a pattern that RE2 can run (no look-around, no back-reference)")
        return None


def _literals(term: str) -> Iterator[bytes]:
    """The spellings of a term: `{a,b}` are alternatives; folded, lower case, one space a gap."""
    for spelling in _alternatives(term):
        yield canonical(fold(spelling).shadow.lower().strip().encode("ascii", "replace"))


def _alternatives(term: str) -> Iterator[str]:
    match = _BRACES.search(term)
    if match is None:
        yield term
        return
    for choice in match.group(1).split(","):
        yield from _alternatives(term[: match.start()] + choice + term[match.end() :])


def _expand(draft: _Draft, path: Path, pattern: str) -> list[str]:
    """A pattern with its macros written out, folded, and its spaces as gaps."""

    def macro(match: re.Match[str]) -> str:
        known = draft.macros.get(match.group(1))
        if known is None:
            draft.fault(path, f"`{match.group(1)}` is no macro of context.yaml (a macro is known from its line down)")
            return ""
        return known

    return [_MACRO.sub(macro, gapped(fold_rule(pattern)))]


def gapped(pattern: str) -> str:
    """The pattern with each space, unless it stands in a class, as a gap."""
    return _TOKEN.sub(lambda match: f"(?:{_GAP})" if match.group().strip("\\ ") == "" else match.group(), pattern)


_TOKEN = re.compile(r"\[[^\]]*\]|(?:\\ | )+|\\.")


def _table(draft: _Draft, path: Path, value: Plain, keys: frozenset[str] | None) -> dict[str, Plain]:
    """A mapping with no other keys than these; an absent one is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        draft.fault(path, "write a mapping")
        return {}
    for key in value:
        if keys is not None and key not in keys:
            draft.fault((*path, key), f"unknown key; known here are {', '.join(sorted(keys))}")
    return value


def _strings(draft: _Draft, path: Path, value: Plain) -> list[str]:
    """A list of non-empty strings, or one block of text with an entry a line or between `; `. Absent is empty."""
    if value is None:
        return []
    if isinstance(value, str):
        return [entry for entry in (part.strip() for part in _ENTRIES.split(value)) if entry]
    if not isinstance(value, list):
        draft.fault(path, "write a list of strings, or a block of text with one entry a line")
        return []
    made: list[str] = []
    for index, item in enumerate(value):
        if isinstance(item, str) and item.strip():
            made.append(item)
        else:
            draft.fault((*path, index), "write a non-empty string (in quotes, if YAML reads it as something else)")
    return made


_ENTRIES = re.compile(r"\n|; ")
