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

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.categories import Category
from gateway.redaction.automata import Expression, linear_options
from gateway.redaction.evidence import Around, Custom, Example, Path, Report, Rule, RulesInvalid
from gateway.redaction.index import Index
from gateway.redaction.patterns import GAP, canonical, gapped
from gateway.redaction.plain import Plain
from gateway.redaction.reading import CONTEXT, Draft, read_category, read_context

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
    """Everything a worker needs, made once. `examples` are for the tests and the self-test."""

    index: Index
    literals: dict[bytes, tuple[Rule, ...]]
    patterns: tuple[tuple[Rule | None, Expression], ...]
    """By the number that the index knows them by; without a rule, it is an idiom."""
    idioms: frozenset[bytes]
    custom: tuple[Custom, ...]
    examples: tuple[Example, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """The patterns and idioms that are no literals, as RE2 reads them."""
        return tuple(pattern.source for _rule, pattern in self.patterns)


def ignore(_path: Path, _reason: str) -> None:
    """A caller that needs only to know whether the rules are valid."""


def compile_rules(mappings: Mapping[str, Plain], report: Report = ignore) -> Compiled:
    """Check and compile what `config/recognizers/*.yaml` hold, by file stem.

    Every fault is reported, with its path and a reason, before anything is raised.

    Raises:
        RulesInvalid: there was a fault; nothing may be scanned with such rules.
    """
    draft = Draft(report)
    shared = mappings.get(CONTEXT)
    if shared is not None:
        read_context(draft, shared)
    for category in Category:
        if category.value not in mappings:
            draft.fault((category.value,), "this category has no file; every category must be known")
    for stem, mapping in mappings.items():
        if stem == CONTEXT:
            continue
        if stem not in Category.__members__:
            draft.fault((stem,), "no special category is called so; write one of the eight codes, or `context`")
            continue
        read_category(draft, Category(stem), mapping)
    if draft.faults:
        raise RulesInvalid("the recognisers have faults")
    return _assemble(draft)


def _assemble(draft: Draft) -> Compiled:
    patterns = (*draft.patterns, *((None, pattern) for pattern in draft.idiom_patterns))
    return Compiled(
        index=Index(draft.literals, draft.idioms - {*draft.literals}, [pattern.source for _rule, pattern in patterns]),
        literals={literal: tuple(rules) for literal, rules in draft.literals.items()},
        patterns=patterns,
        idioms=frozenset(draft.idioms),
        custom=tuple(draft.custom),
        examples=tuple(draft.examples),
    )
