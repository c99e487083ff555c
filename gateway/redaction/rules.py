"""`config/recognizers/` as tables: rules of evidence, and what must or must not stand round them.

One mapping a category, and one, `context`, with what they share. A *rule* lists terms and patterns
that may reveal a category; a candidate counts when one of the rule's `needs` (links to a person)
holds in the text round it and none of its `unless` does. An *idiom* is a longer harmless stretch
that swallows the term inside it. Terms and patterns are heard word by word (`automaton`), links are read
letter by letter (`machines`): both are linear in the text, whatever the text is.

Both are written in RE2's language over lower-case ASCII (`folding` makes the text so, and folds the rules
alike): a space stands for any gap between two words, fillers included; `<name>` for a macro of `context`;
a group `(…)` marks the part that is the finding, where it is not the whole. A pattern is made of words and
gaps (`grammar`): an apostrophe or a hyphen in it is a gap, another mark stands for itself.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as Folder

from gateway.categories import PERSONAL_DATA, Category
from gateway.redaction.anchors import graph
from gateway.redaction.automata import linear_options
from gateway.redaction.automaton import Automaton
from gateway.redaction.evidence import Around, Custom, Example, Path, Phrase, Report, Rule, RulesInvalid
from gateway.redaction.fields import FIELDS
from gateway.redaction.grammar import Unread
from gateway.redaction.growth import GROWTH, Growth, read_growth
from gateway.redaction.kept import Kept
from gateway.redaction.machines import Pattern
from gateway.redaction.patterns import GAP, canonical, gapped
from gateway.redaction.phrases import Phrases
from gateway.redaction.plain import Plain
from gateway.redaction.reading import CONTEXT, Draft, check_fields, read_category, read_context, read_own
from gateway.redaction.scanner import Scanner
from gateway.redaction.tables import Graph

__all__ = [
    "CONTEXT",
    "GAP",
    "Around",
    "Compiled",
    "Custom",
    "Example",
    "Path",
    "Report",
    "Rule",
    "RulesInvalid",
    "canonical",
    "compile_rules",
    "gapped",
    "ignore",
    "linear_options",
]


@dataclass(frozen=True, slots=True)
class Compiled:
    """Everything a worker needs, made once. `examples` are for the tests and the self-test.

    `phrases` are what the automaton's numbers stand for. `terms` are what the rules spell out, and whose it is
    (None: an idiom); empty unless they were asked for, or read to make the automaton. `growth` says how far findings
    reach; None: as far as the rules say.
    """

    automaton: Automaton
    scanner: Scanner
    phrases: tuple[Phrase, ...]
    terms: dict[str, tuple[Rule | None, ...]]
    custom: tuple[Custom, ...]
    examples: tuple[Example, ...]
    growth: Growth | None = None


def ignore(_path: Path, _reason: str) -> None:
    """A caller that needs only to know whether the rules are valid."""


def compile_rules(
    mappings: Mapping[str, Plain], report: Report = ignore, where: Folder | None = None, *, terms: bool = False
) -> Compiled:
    """Check and compile what `config/recognizers/*.yaml` hold, by file stem.

    Every fault is reported, with its path and a reason, before anything is raised. What was made of the same rules
    before is taken from the folder `where`; `terms` asks for the terms even so.

    Raises:
        RulesInvalid: there was a fault; nothing may be scanned with such rules.
    """
    kept = Kept(where, {stem: mapping for stem, mapping in mappings.items() if stem != GROWTH})
    known = kept.read()
    draft = Draft(report, known, spells=terms or known is None)
    shared = mappings.get(CONTEXT)
    if shared is not None:
        read_context(draft, shared)
    for category in Category:
        if category.value not in mappings:
            draft.fault((category.value,), "this category has no file; every category must be known")
    for stem, mapping in mappings.items():
        if stem == FIELDS:
            check_fields(draft, mapping)
        if stem in {CONTEXT, FIELDS, GROWTH, PERSONAL_DATA}:
            continue
        if stem in Category.__members__:
            read_category(draft, Category(stem), mapping)
        else:
            read_own(draft, stem, mapping)
    growth = _growth(draft, mappings)
    if draft.faults:
        raise RulesInvalid("the recognisers have faults")
    collects = gc.isenabled()
    gc.disable()  # hundreds of thousands of small objects, none of them garbage: to look for it takes a third longer
    try:
        return _assemble(draft, kept, growth)
    finally:
        if collects:
            gc.enable()


def _growth(draft: Draft, mappings: Mapping[str, Plain]) -> Growth | None:
    if GROWTH not in mappings:
        return None
    return read_growth(mappings[GROWTH], lambda key, reason: draft.fault((GROWTH, key) if key else (GROWTH,), reason))


def _assemble(draft: Draft, kept: Kept, growth: Growth | None) -> Compiled:
    terms: dict[str, tuple[Rule | None, ...]] = {term.decode(): tuple(rules) for term, rules in draft.literals.items()}
    for idiom in draft.idioms:
        terms[idiom.decode()] = (*terms.get(idiom.decode(), ()), None)
    # rules that are alike in all but their terms are one: each number is that of a phrase
    numbers = {rule: number for number, rule in enumerate(dict.fromkeys((*draft.rules, None)))}
    phrases = [Phrase(rule) for rule in numbers]
    phrases.extend(phrase for _path, phrase, _tree in draft.patterns)
    tables = draft.known
    if tables is None:
        tables = _graph(draft, terms, numbers)
        kept.write(tables)
    automaton = Automaton(tables)
    return Compiled(
        automaton=automaton,
        scanner=Scanner(automaton, tables.sides, phrases),
        phrases=tuple(phrases),
        terms=terms,
        custom=tuple(draft.custom),
        examples=tuple(draft.examples),
        growth=growth,
    )


def _graph(draft: Draft, terms: Mapping[str, tuple[Rule | None, ...]], numbers: Mapping[Rule | None, int]) -> Graph:
    heard = Phrases(draft.phrase_macros)
    for term, rules in terms.items():
        for rule in rules:
            heard.add_term(term, numbers[rule])
    for number, (path, _phrase, tree) in enumerate(draft.patterns, len(numbers)):
        if tree is not None:
            try:
                heard.add_pattern(tree, number)
            except Unread as fault:
                draft.fault(path, str(fault))
    if draft.faults:
        raise RulesInvalid("the recognisers have faults")
    marked = [at for at, (_path, phrase, _tree) in enumerate(draft.patterns) if phrase.exact is not None]
    try:
        return graph(heard, marked, [Pattern([(side.tree, 0)], side.before) for side in draft.sides])
    except Unread as fault:
        draft.fault((CONTEXT,), str(fault))
        raise RulesInvalid("the recognisers have faults") from None
