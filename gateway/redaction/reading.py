"""The mappings of `config/recognizers/*.yaml`, read into a draft. Every fault is told, with its place."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import re2

from gateway.categories import Category
from gateway.redaction.automata import Expression
from gateway.redaction.evidence import Around, Custom, Example, Path, Phrase, Report, Rule
from gateway.redaction.fields import FIELDS
from gateway.redaction.folding import fold, fold_rule
from gateway.redaction.grammar import Tree, Unread, is_grouped, macros_of, read, read_link
from gateway.redaction.parts import MACRO, Members, Source
from gateway.redaction.patterns import GAP, is_pattern, literals, readied
from gateway.redaction.phrases import Macro, macro
from gateway.redaction.plain import Plain
from gateway.redaction.tables import Graph, Numbers, numbers

CONTEXT = "context"
_ENTRIES = re.compile(r"\n|; ")

_RULE_KEYS = frozenset({"name", "score", "needs", "unless", "terms", "patterns", "cased"})
_FILE_KEYS = frozenset({"rules", "idioms", "examples", "presidio"})
_CONTEXT_KEYS = frozenset({"macros", "links", "vetoes", "idioms"})
_PRESIDIO_KEYS = frozenset({"name", "patterns", "deny_list", "deny_list_score"})


class Trees(dict[str, Tree]):
    """What macros are, by name; read when they are first asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.words: dict[str, list[str]] = {}

    def __missing__(self, name: str) -> Tree:
        tree = self[name] = Tree("or", parts=[read(fold_rule(word), phrase=True) for word in self.words[name]])
        return tree


class Side(NamedTuple):
    """One side of a link or veto: as RE2 reads it, as a tree, and whether it is what stands before a candidate."""

    source: str
    tree: Tree
    before: bool


@dataclass(slots=True)
class Draft:
    report: Report
    known: Graph | None = None
    """What was made of these very rules before: then they have no faults, and no pattern needs to be read."""
    spells: bool = True
    """Whether what the rules spell out is wanted, term by term and letter by letter: what is known needs none of it."""
    macros: dict[str, str] = field(default_factory=dict)
    """As the links have them written out."""
    members: dict[str, Members] = field(default_factory=dict)
    """As the patterns have them in which a part is marked."""
    trees: Trees = field(default_factory=Trees)
    phrase_macros: dict[str, Macro] = field(default_factory=dict)
    """As the phrases have them; a macro that is none is for links only."""
    sides: list[Side] = field(default_factory=list)
    """Of all links and vetoes, in order; not of rules that are known."""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    """Those of the sides."""
    around: dict[str, Around] = field(default_factory=dict)
    joined: dict[tuple[str, ...], Around] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    literals: dict[bytes, list[Rule]] = field(default_factory=dict)
    patterns: list[tuple[Path, Phrase, Tree | None]] = field(default_factory=list)
    idioms: set[bytes] = field(default_factory=set)
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
        alternatives: dict[str, Source | str] = {}
        for index, word in enumerate(words):
            alternative = _expand(draft, (CONTEXT, "macros", name, index), word)
            alternatives[alternative] = Source(readied(word), draft.members) if "<" in word else alternative
        draft.macros[name] = f"(?:{'|'.join(sorted(alternatives))})"
        draft.members[name] = Members([alternatives[one] for one in sorted(alternatives)])
        _read_macro(draft, name, words)
    for kind in ("links", "vetoes"):
        for name, value in _table(draft, (CONTEXT, kind), top.get(kind), None).items():
            sides = _table(draft, (CONTEXT, kind, name), value, frozenset({"before", "after"}))
            draft.around[name] = Around(
                before=_side(draft, (CONTEXT, kind, name, "before"), sides.get("before"), before=True),
                after=_side(draft, (CONTEXT, kind, name, "after"), sides.get("after"), before=False),
            )
    _read_idioms(draft, (CONTEXT, "idioms"), top.get("idioms"))


def _read_macro(draft: Draft, name: str, words: list[str]) -> None:
    draft.trees.words[name] = words
    if draft.known is None:
        with contextlib.suppress(Unread, KeyError):  # then it is for links only
            draft.phrase_macros[name] = macro(draft.trees[name], draft.phrase_macros)


def _side(draft: Draft, path: Path, value: Plain, *, before: bool) -> Numbers:
    """The patterns of one side of a link or veto as one, by its number; none, if there are none."""
    words = _strings(draft, path, value)
    if not words:
        return numbers([])
    if draft.known is None:
        sources = [_expand(draft, (*path, index), word) for index, word in enumerate(words)]
        try:
            draft.sides.append(_whole(sources, before=before))
        except (re2.error, UnicodeEncodeError, Unread):
            for source in sources:
                _check_link(draft, path, source)
    return numbers([next(draft.numbers)])


def _whole(sources: list[str], *, before: bool) -> Side:
    """Any of these, beside a candidate.

    Raises:
        re2.error, UnicodeEncodeError: RE2 cannot run it, so it is none.
        Unread: it is written in a way that is not known here.
    """
    either = f"(?:{'|'.join(sources)})"
    source = f"{either}(?:{GAP})?" if before else f"(?:{GAP})?{either}"
    side = Side(rf"(?i){source}\z" if before else rf"(?i)\A{source}", read_link(source), before)
    Expression(side.source)
    return side


def _check_link(draft: Draft, path: Path, source: str) -> None:
    if _expression(draft, path, source) is not None:
        try:
            read_link(source)
        except Unread as fault:
            draft.fault(path, f"this is not a link that can be read here: {fault}")


def _around(draft: Draft, names: tuple[str, ...]) -> Around:
    """Several links, or vetoes, as one: any of them."""
    joined = draft.joined.get(names)
    if joined is None:
        sides = [draft.around[name] for name in names]
        joined = draft.joined[names] = Around(
            before=numbers(np.concatenate([around.before for around in sides])),
            after=numbers(np.concatenate([around.after for around in sides])),
        )
    return joined


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
    draft.rules.append(made)
    patterns = _strings(draft, (*path, "patterns"), rule.get("patterns"))
    if draft.spells:
        terms = _strings(draft, (*path, "terms"), rule.get("terms"))
        if not terms and not patterns:
            draft.fault(path, "a rule without terms and patterns finds nothing")
        for literal in itertools.chain.from_iterable(map(literals, terms)):
            draft.literals.setdefault(literal, []).append(made)
    _read_patterns(draft, (*path, "patterns"), made, patterns)


def _read_patterns(draft: Draft, path: Path, rule: Rule | None, patterns: list[str]) -> None:
    for index, pattern in enumerate(patterns):
        where = (*path, index)
        folded = fold_rule(pattern) if draft.spells else ""
        tree = None
        if draft.known is None:
            try:
                tree = read(folded, phrase=True)
            except Unread as fault:
                draft.fault(where, f"this is not a pattern of words and gaps: {fault}")
                continue
            unknown = [name for name in macros_of(tree) if name not in draft.phrase_macros]
            for name in unknown:
                draft.fault(where, f"`{name}` is no macro of context.yaml, or is made for links only")
            if unknown:
                continue
            marked = is_grouped(tree)
        else:
            marked = len(draft.patterns) in draft.known.marked
        exact = Source(readied(pattern), draft.members) if marked else None
        draft.patterns.append((where, Phrase(rule, folded, draft.trees if draft.spells else {}, exact), tree))


def _read_idioms(draft: Draft, path: Path, value: Plain) -> None:
    for index, idiom in enumerate(_strings(draft, path, value)):
        if is_pattern(idiom):
            _read_patterns(draft, (*path, index), None, [idiom])
        elif draft.spells:
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


def check_fields(draft: Draft, mapping: Plain) -> None:
    """Check what `fields.yaml` holds: keys that name a category, and words that say nothing."""
    top = _table(draft, (FIELDS,), mapping, frozenset({"names", "nothing"}))
    for code, names in _table(draft, (FIELDS, "names"), top.get("names"), frozenset(Category)).items():
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            draft.fault((FIELDS, "names", code), "write a list of keys")
    nothing = top.get("nothing")
    if nothing is not None and not (isinstance(nothing, list) and all(isinstance(word, str) for word in nothing)):
        draft.fault((FIELDS, "nothing"), "write a list of words, in quotes where YAML reads something else")


def read_own(draft: Draft, stem: str, mapping: Plain) -> None:
    """An operator's own file, of any other name: recognisers in Presidio's words, each for the category it names."""
    listed = mapping.get("recognizers") if isinstance(mapping, dict) else None
    if not isinstance(mapping, dict) or not isinstance(listed, list) or not listed:
        draft.fault((stem,), "call it one of the eight codes or `context`; or list your own under `recognizers:`")
        return
    _table(draft, (stem,), mapping, frozenset({"recognizers"}))
    for index, entry in enumerate(listed):
        where: Path = (stem, "recognizers", index)
        entity = entry.get("supported_entity") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or entity not in Category.__members__:
            draft.fault((*where, "supported_entity"), f"write one of {', '.join(Category)}")
            continue
        rest = {key: value for key, value in entry.items() if key != "supported_entity"}
        _read_custom(draft, where, Category(str(entity)), rest)


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


def _expand(draft: Draft, path: Path, pattern: str) -> str:
    """A pattern with its macros written out, folded, and its spaces as gaps."""

    def macro(match: re.Match[str]) -> str:
        known = draft.macros.get(match.group(1))
        if known is None:
            draft.fault(path, f"`{match.group(1)}` is no macro of context.yaml (a macro is known from its line down)")
            return ""
        return known

    return MACRO.sub(macro, readied(pattern))


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
