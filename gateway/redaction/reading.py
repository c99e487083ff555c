"""The mappings of `config/recognizers/*.yaml`, read into a draft. Every fault is told, with its place."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import re2

from gateway.categories import Category
from gateway.redaction.automata import Expression
from gateway.redaction.everyday import weight
from gateway.redaction.evidence import Around, Clue, Custom, Example, Path, Report, Rule
from gateway.redaction.folding import fold, fold_rule
from gateway.redaction.grammar import Unread, read
from gateway.redaction.patterns import GAP, is_pattern, literals, readied
from gateway.redaction.plain import Plain
from gateway.redaction.shapes import keys

CONTEXT = "context"
_MACRO = re.compile(r"<([a-z_]+)>")
_ENTRIES = re.compile(r"\n|; ")

_RULE_KEYS = frozenset({"name", "score", "needs", "unless", "terms", "patterns", "cased"})
_FILE_KEYS = frozenset({"rules", "idioms", "examples", "presidio"})
_CONTEXT_KEYS = frozenset({"macros", "links", "vetoes", "idioms"})
_PRESIDIO_KEYS = frozenset({"name", "patterns", "deny_list", "deny_list_score"})


@dataclass(slots=True)
class Draft:
    report: Report
    macros: dict[str, str] = field(default_factory=dict)
    around: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    joined: dict[tuple[str, ...], Around] = field(default_factory=dict)
    clues: dict[tuple[str, bool], Clue] = field(default_factory=dict)
    literals: dict[bytes, list[Rule]] = field(default_factory=dict)
    patterns: list[tuple[Rule, Expression]] = field(default_factory=list)
    idioms: set[bytes] = field(default_factory=set)
    idiom_patterns: list[Expression] = field(default_factory=list)
    custom: list[Custom] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    faults: int = 0

    def fault(self, path: Path, reason: str) -> None:
        self.faults += 1
        self.report(path, reason)


def read_context(draft: Draft, mapping: Plain) -> None:
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


def _side(draft: Draft, path: Path, value: Plain) -> list[str]:
    sources = [
        pattern
        for index, word in enumerate(_strings(draft, path, value))
        for pattern in _expand(draft, (*path, index), word)
    ]
    return [source for source in sources if _expression(draft, path, source) is not None]


def _around(draft: Draft, names: tuple[str, ...]) -> Around:
    """Several links, or vetoes, as one: any of them."""
    joined = draft.joined.get(names)
    if joined is None:
        joined = draft.joined[names] = Around(
            before=tuple(_clue(draft, source, before=True) for name in names for source in draft.around[name][0]),
            after=tuple(_clue(draft, source, before=False) for name in names for source in draft.around[name][1]),
        )
    return joined


def _clue(draft: Draft, source: str, before: bool) -> Clue:
    """A pattern that ends at a candidate, or begins after it. Each for itself: RE2 makes small ones' states fast."""
    known = draft.clues.get((source, before))
    if known is None:
        whole = f"(?i)(?:{source})(?:{GAP})?\\z" if before else f"(?i)\\A(?:{GAP})?(?:{source})"
        # Before a candidate the text ends, and so do its words; after it, no pattern begins within a word.
        known = draft.clues[source, before] = Clue(Expression(whole), _words(source, left=not before, right=before))
    return known


def _words(source: str, left: bool, right: bool) -> frozenset[bytes] | None:
    try:
        needed = keys(read(source), weight, left, right)
    except Unread:
        return None
    if needed is None or not all(key.literal[0] == key.literal[-1] == " " for key in needed):
        return None
    return frozenset(key.literal.strip(" ").lower().encode() for key in needed)


def read_category(draft: Draft, category: Category, mapping: Plain) -> None:
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


def _read_rule(draft: Draft, path: Path, category: Category, value: Plain) -> None:
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
    for literal in itertools.chain.from_iterable(map(literals, terms)):
        draft.literals.setdefault(literal, []).append(made)
    draft.patterns.extend((made, pattern) for pattern in _expressions(draft, (*path, "patterns"), patterns))


def _expressions(draft: Draft, path: Path, patterns: list[str]) -> Iterator[Expression]:
    """The patterns written out and compiled, those that RE2 can run."""
    for index, pattern in enumerate(patterns):
        for source in _expand(draft, (*path, index), pattern):
            made = _expression(draft, (*path, index), source)
            if made is not None:
                yield made


def _read_idioms(draft: Draft, path: Path, value: Plain) -> None:
    for index, idiom in enumerate(_strings(draft, path, value)):
        if is_pattern(idiom):
            draft.idiom_patterns.extend(_expressions(draft, (*path, index), [idiom]))
        else:
            draft.idioms.update(literals(idiom))


def _read_examples(draft: Draft, category: Category, value: Plain) -> None:
    path: Path = (category.value, "examples")
    examples = _table(draft, path, value, frozenset({"positive", "negative"}))
    for index, marked in enumerate(_strings(draft, (*path, "positive"), examples.get("positive"))):
        found = tuple(re.findall(r"\[\[(.+?)\]\]", marked))
        if not found:
            draft.fault((*path, "positive", index), "mark what must be found: [[...]]")
        draft.examples.append(Example(category, marked.replace("[[", "").replace("]]", ""), found))
    for text in _strings(draft, (*path, "negative"), examples.get("negative")):
        draft.examples.append(Example(category, text, ()))


def _read_custom(draft: Draft, path: Path, category: Category, value: Plain) -> None:
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
        elif _expression(draft, where, fold_rule(regex)) is not None:
            patterns.append((title, fold_rule(regex), score))
    words = [fold(word).shadow for word in _strings(draft, (*path, "deny_list"), entry.get("deny_list"))]
    deny_score = entry.get("deny_list_score", 1.0)
    if not isinstance(deny_score, float) or not 0 < deny_score <= 1:
        draft.fault((*path, "deny_list_score"), "write a score above 0 and at most 1.0")
    elif not patterns and not words:
        draft.fault(path, "a recogniser needs `patterns` or a `deny_list`")
    else:
        draft.custom.append(Custom(category, name, tuple(patterns), tuple(words), deny_score))


def _expression(draft: Draft, path: Path, source: str) -> Expression | None:
    try:
        return Expression(source)
    except (re2.error, UnicodeEncodeError):
        draft.fault(path, "this is not a pattern that RE2 can run (no look-around, no back-reference)")
        return None


def _expand(draft: Draft, path: Path, pattern: str) -> list[str]:
    """A pattern with its macros written out, folded, and its spaces as gaps."""

    def macro(match: re.Match[str]) -> str:
        known = draft.macros.get(match.group(1))
        if known is None:
            draft.fault(path, f"`{match.group(1)}` is no macro of context.yaml (a macro is known from its line down)")
            return ""
        return known

    return [_MACRO.sub(macro, readied(pattern))]


def _table(draft: Draft, path: Path, value: Plain, keys: frozenset[str] | None) -> dict[str, Plain]:
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


def _strings(draft: Draft, path: Path, value: Plain) -> list[str]:
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
