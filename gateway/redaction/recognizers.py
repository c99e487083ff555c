"""`config/recognizers/` as Presidio recognisers: rules of evidence, and what stands round them.

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
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import re2
from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts

from gateway.categories import Category
from gateway.redaction.folding import fold, fold_rule
from gateway.redaction.plain import Plain

Path: TypeAlias = "tuple[str | int, ...]"
Report: TypeAlias = Callable[[Path, str], None]
"""Called with the path of a fault (the first part is the file's stem) and the reason."""

CONTEXT = "context"
LANGUAGE = "any"
"""Every recogniser looks at every text: talk switches language in the middle of a sentence."""
BREAK = "\x00"
"""Between texts that are analysed in one go; folding lets none through from a text."""

_BEFORE = 120
_AFTER = 72
_GAP = r"""[ \t\n",.'*/-]+"""
_MEMORY = 64 << 20
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
class _Around:
    """Text that must stand before (ending at) or after (starting at) a candidate."""

    before: re2._Regexp | None
    after: re2._Regexp | None

    def holds(self, before: bytes, after: bytes) -> bool:
        return bool(
            (self.before is not None and self.before.search(before))
            or (self.after is not None and self.after.search(after))
        )


@dataclass(frozen=True, slots=True)
class _Rule:
    category: Category
    name: str
    score: float
    needs: tuple[tuple[str, ...], ...]
    unless: tuple[str, ...]
    cased: bool


@dataclass(slots=True)
class Compiled:
    """Everything a worker needs, made once. `examples` are for the tests and the self-test."""

    scanner: re2._Regexp
    literals: dict[bytes, tuple[_Rule, ...]]
    pattern_set: re2.Set | None
    patterns: list[tuple[_Rule, re2._Regexp]]
    idioms: frozenset[bytes]
    idiom_set: re2.Set | None
    around: dict[str, _Around]
    custom: list[PatternRecognizer]
    examples: tuple[Example, ...]


class SpecialCategories(EntityRecognizer):  # type: ignore[misc]  # presidio is untyped at this seam
    """The compiled rules as one Presidio recogniser for all eight categories and both languages.

    It expects folded text (`folding.fold`), with `BREAK` between texts that have nothing to do
    with each other. Usable in any `AnalyzerEngine` that analyses in the language `any`.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        super().__init__(
            supported_entities=[category.value for category in Category],
            name="SpecialCategories",
            supported_language=LANGUAGE,
        )

    def load(self) -> None:
        """Nothing to load: the rules came compiled."""

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        """Findings in folded text, as spans of it."""
        wanted = frozenset(entities)
        metadata = {
            RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
            RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
        }
        return [
            RecognizerResult(rule.category.value, start, end, rule.score, None, metadata)
            for start, end, rule in scan(self._compiled, text)
            if rule.category.value in wanted
        ]


def scan(compiled: Compiled, text: str) -> Iterator[tuple[int, int, _Rule]]:
    """(start, end, rule) of each candidate that holds, in order and apart."""
    cased = text.encode("ascii", "replace")
    lower = cased.lower()
    size = len(lower)
    search = compiled.scanner.search
    position = 0
    while position < size:
        match = search(lower, position)
        if match is None:
            return
        start, end = match.span()
        piece = lower[start:end]
        key = _canonical(piece)
        if key in compiled.idioms or (compiled.idiom_set is not None and compiled.idiom_set.Match(key)):
            position = end
            continue
        found = _judge(compiled, cased, piece, key, start, end)
        if found is None:
            position = _next_word(lower, start)
        else:
            yield found
            position = max(found[1], start + 1)


def _judge(
    compiled: Compiled, cased: bytes, piece: bytes, key: bytes, start: int, end: int
) -> tuple[int, int, _Rule] | None:
    candidates = [(start, end, rule) for rule in compiled.literals.get(key, ())]
    if compiled.pattern_set is not None:
        for index in compiled.pattern_set.Match(piece) or ():
            rule, pattern = compiled.patterns[index]
            match = pattern.fullmatch(piece)
            if match is not None:
                inner = match.span(1) if pattern.groups and match.span(1)[0] >= 0 else (0, end - start)
                candidates.append((start + inner[0], start + inner[1], rule))
    best: tuple[int, int, _Rule] | None = None
    for candidate in candidates:
        if (best is None or candidate[2].score > best[2].score) and _holds(compiled, cased, candidate):
            best = candidate
    return best


def _holds(compiled: Compiled, cased: bytes, candidate: tuple[int, int, _Rule]) -> bool:
    start, end, rule = candidate
    if rule.cased and not cased[start : start + 1].isupper():
        return False
    if not rule.needs and not rule.unless:
        return True
    low = max(0, start - _BEFORE)
    before = cased[max(low, cased.rfind(b"\x00", low, start) + 1) : start]
    high = cased.find(b"\x00", end, end + _AFTER)
    after = cased[end : high if high >= 0 else end + _AFTER]
    around = compiled.around
    if any(around[name].holds(before, after) for name in rule.unless):
        return False
    return not rule.needs or any(all(around[name].holds(before, after) for name in group) for group in rule.needs)


def _next_word(lower: bytes, start: int) -> int:
    """Where the next word after the one at `start` begins, or later."""
    size = len(lower)
    at = start
    while at < size and lower[at : at + 1].isalnum():
        at += 1
    return max(at, start + 1)


_GAPS = re.compile(_GAP.encode())


def _canonical(piece: bytes) -> bytes:
    """The match with every gap as one space, as the tables spell it."""
    return _GAPS.sub(b" ", piece)


# --- from mappings to tables -------------------------------------------------------------------


class RulesInvalid(ValueError):
    """The mappings are not rules. The faults went to the report."""


@dataclass(slots=True)
class _Draft:
    report: Report
    macros: dict[str, str] = field(default_factory=dict)
    around: dict[str, _Around] = field(default_factory=dict)
    literals: dict[bytes, list[_Rule]] = field(default_factory=dict)
    patterns: list[tuple[_Rule, str]] = field(default_factory=list)
    idioms: set[bytes] = field(default_factory=set)
    idiom_patterns: list[str] = field(default_factory=list)
    custom: list[PatternRecognizer] = field(default_factory=list)
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
        draft.macros[name] = "(?:" + "|".join(itertools.chain.from_iterable(alternatives)) + ")"
    for kind in ("links", "vetoes"):
        for name, value in _table(draft, (CONTEXT, kind), top.get(kind), None).items():
            sides = _table(draft, (CONTEXT, kind, name), value, frozenset({"before", "after"}))
            draft.around[name] = _Around(
                _side(draft, (CONTEXT, kind, name, "before"), sides.get("before"), "(?:", rf")(?:{_GAP})?\z"),
                _side(draft, (CONTEXT, kind, name, "after"), sides.get("after"), rf"\A(?:{_GAP})?(?:", ")"),
            )
    _read_idioms(draft, (CONTEXT, "idioms"), top.get("idioms"))


def _side(draft: _Draft, path: Path, value: Plain, head: str, tail: str) -> re2._Regexp | None:
    sources = [
        pattern
        for index, word in enumerate(_strings(draft, path, value))
        for pattern in _expand(draft, (*path, index), word)
    ]
    if not sources:
        return None
    return _regexp(draft, path, "(?i)" + head + "|".join(sources) + tail)


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
    needs = tuple(
        tuple(part.strip() for part in group.split("&"))
        for group in _strings(draft, (*path, "needs"), rule.get("needs"))
    )
    unless = tuple(_strings(draft, (*path, "unless"), rule.get("unless")))
    for used in (*itertools.chain.from_iterable(needs), *unless):
        if used not in draft.around:
            draft.fault(path, f"`{used}` is neither a link nor a veto of context.yaml")
    cased = rule.get("cased", False)
    if not isinstance(cased, bool):
        draft.fault((*path, "cased"), "write true or false")
        return
    made = _Rule(category, name, score, needs, unless, cased)
    terms = _strings(draft, (*path, "terms"), rule.get("terms"))
    patterns = _strings(draft, (*path, "patterns"), rule.get("patterns"))
    if not terms and not patterns:
        draft.fault(path, "a rule without terms and patterns finds nothing")
    for term in terms:
        for literal in _literals(term):
            draft.literals.setdefault(literal, []).append(made)
    for index, pattern in enumerate(patterns):
        for source in _expand(draft, (*path, "patterns", index), pattern):
            if _regexp(draft, (*path, "patterns", index), source) is not None:
                draft.patterns.append((made, source))


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
    patterns: list[Pattern] = []
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
            patterns.append(Pattern(title, fold_rule(regex), score))
    words = [fold(word).shadow for word in _strings(draft, (*path, "deny_list"), entry.get("deny_list"))]
    deny_score = entry.get("deny_list_score", 1.0)
    if not isinstance(deny_score, float) or not 0 < deny_score <= 1:
        draft.fault((*path, "deny_list_score"), "write a score above 0 and at most 1.0")
    elif not patterns and not words:
        draft.fault(path, "a recogniser needs `patterns` or a `deny_list`")
    else:
        draft.custom.append(Linear(category.value, name, patterns, words, deny_score))


class Linear(PatternRecognizer):  # type: ignore[misc]  # presidio is untyped at this seam
    """A `PatternRecognizer` whose patterns run in RE2, so that no text can make it slow, and none is skipped."""

    def __init__(self, entity: str, name: str, patterns: Sequence[Pattern], words: Sequence[str], score: float) -> None:
        super().__init__(
            supported_entity=entity,
            name=name,
            supported_language=LANGUAGE,
            patterns=list(patterns) or None,
            deny_list=list(words) or None,
            deny_list_score=score,
        )
        options = _options()
        options.case_sensitive = False
        sources = [(pattern.regex, pattern.score) for pattern in patterns]
        if words:
            sources.append((r"\b(?:" + "|".join(_gapped(re2.escape(word)) for word in words) + r")\b", score))
        self._scanners = [(re2.compile(source, options), value) for source, value in sources]

    def analyze(
        self,
        text: str,
        entities: list[str],
        nlp_artifacts: NlpArtifacts | None = None,
        regex_flags: int | None = None,
    ) -> list[RecognizerResult]:
        """Every match of every pattern, as Presidio's own class would give it."""
        metadata = {
            RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
            RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
        }
        data = text.encode("ascii", "replace")
        return [
            RecognizerResult(self.supported_entities[0], *match.span(), score, None, metadata)
            for scanner, score in self._scanners
            for match in scanner.finditer(data)
            if match.end() > match.start()
        ]


def _assemble(draft: _Draft) -> Compiled:
    spelled = [_gapped(re2.escape(literal.decode("ascii"))) for literal in (*draft.literals, *draft.idioms)]
    sources = [*spelled, *(source for _rule, source in draft.patterns), *draft.idiom_patterns]
    options = _options()
    options.longest_match = True
    options.never_capture = True
    scanner = re2.compile((r"\b(?:" + "|".join(sources) + r")\b").encode("ascii"), options)
    return Compiled(
        scanner=scanner,
        literals={literal: tuple(rules) for literal, rules in draft.literals.items()},
        pattern_set=_set([source for _rule, source in draft.patterns]),
        patterns=[(rule, re2.compile(source.encode("ascii"), _options())) for rule, source in draft.patterns],
        idioms=frozenset(draft.idioms),
        idiom_set=_set(draft.idiom_patterns),
        around=draft.around,
        custom=draft.custom,
        examples=tuple(draft.examples),
    )


def _set(sources: list[str]) -> re2.Set | None:
    if not sources:
        return None
    options = _options()
    options.never_capture = True
    made = re2.Set.FullMatchSet(options)
    for source in sources:
        made.Add(source.encode("ascii"))
    made.Compile()
    return made


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _MEMORY  # too little makes RE2 fall back, or fail, with no more than a log line
    options.log_errors = False
    return options


def _regexp(draft: _Draft, path: Path, source: str) -> re2._Regexp | None:
    try:
        return re2.compile(source.encode("ascii"), _options())
    except (re2.error, UnicodeEncodeError):
        draft.fault(path, "this is not a pattern that RE2 can run (no look-around, no back-reference)")
        return None


def _literals(term: str) -> Iterator[bytes]:
    """The spellings of a term: `{a,b}` are alternatives; folded, lower case, one space a gap."""
    for spelling in _alternatives(term):
        yield _canonical(fold(spelling).shadow.lower().strip().encode("ascii", "replace"))


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

    return [_MACRO.sub(macro, _gapped(fold_rule(pattern)))]


def _gapped(pattern: str) -> str:
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
    """A list of non-empty strings, or one block of text with an entry a line or between `; `; an absent one is empty."""
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
