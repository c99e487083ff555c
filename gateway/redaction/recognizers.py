"""The rules as Presidio recognisers, for our engine and for an operator's own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from operator import itemgetter

import re2
from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts

from gateway.categories import Category
from gateway.redaction.growth import Found
from gateway.redaction.rules import Compiled, Custom, gapped, linear_options
from gateway.redaction.scanner import Candidate

LANGUAGE = "any"
"""Every recogniser looks at every text: talk switches language in the middle of a sentence."""
BREAK = "\x00"
"""Between texts that are analysed in one go; folding lets none through from a text."""


def no_artifacts() -> NlpArtifacts:
    """What a recogniser that looks at the text alone is given."""
    return NlpArtifacts(
        entities=[],
        tokens=None,  # type: ignore[arg-type]  # nothing reads it, and making one would need spaCy
        tokens_indices=[],
        lemmas=[],
        nlp_engine=None,
        language=LANGUAGE,
    )


class SpecialCategories(EntityRecognizer):
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
        self._metadata = _metadata("SpecialCategories", self.id)

    def load(self) -> None:
        """Nothing to load: the rules came compiled."""

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        """Findings in folded text, as spans of it."""
        wanted = frozenset(entities)
        return [
            RecognizerResult(rule.category.value, start, end, rule.score, recognition_metadata=self._metadata)
            for start, end, rule in self._found(text)
            if rule.category.value in wanted
        ]

    def _found(self, text: str) -> list[Candidate]:
        """What the rules find, each with what belongs to it."""
        found = list(self._compiled.scanner.scan(text))
        growth = self._compiled.growth
        if not found or growth is None:
            return found
        grown: list[Candidate] = []
        for base, one in _texts(text.lower()):
            first = len(grown)
            last = bisect_left(found, base + len(one), first, key=itemgetter(0))
            asked = [Found(start - base, end - base, rule.category) for start, end, rule in found[first:last]]
            for (start, end, _final), (*_, rule) in zip(growth.grow(one, asked), found[first:last], strict=True):
                grown.append((base + start, base + end, rule))
        return grown


class Linear(PatternRecognizer):
    """An operator's own recogniser. Its patterns run in RE2: no text can make one slow, and none is skipped."""

    def __init__(self, custom: Custom) -> None:
        options = linear_options()
        options.case_sensitive = False
        self.category = custom.category
        sources = [(regex, score) for _title, regex, score in custom.patterns]
        if custom.words:
            words = "|".join(gapped(re2.escape(word)) for word in custom.words)
            sources.append((rf"\b(?:{words})\b", custom.words_score))
        self.sources = [source for source, _score in sources]
        self._scanners = [(re2.compile(source.encode("ascii"), options), score) for source, score in sources]
        super().__init__(
            supported_entity=custom.category.value,
            name=custom.name,
            supported_language=LANGUAGE,
            patterns=[
                Pattern(f"{custom.name} {number}", regex, score) for number, (regex, score) in enumerate(sources)
            ],
        )
        self._metadata = _metadata(custom.name, self.id)

    def analyze(
        self,
        text: str,
        entities: list[str],
        nlp_artifacts: NlpArtifacts | None = None,
        regex_flags: int | None = None,
    ) -> list[RecognizerResult]:
        """Every match of every pattern in each text, as Presidio's own class would give it."""
        entity = self.supported_entities[0]
        return [
            RecognizerResult(entity, base + start, base + end, score, recognition_metadata=self._metadata)
            for base, one in _texts(text)
            for start, end, score in self.matches(one, 0)
        ]

    def matches(self, folded: bytes, start: int) -> Iterator[tuple[int, int, float]]:
        """(start, end, score) of every match from `start` on."""
        for scanner, score in self._scanners:
            for match in scanner.finditer(folded, start):
                if match.end() > match.start():
                    yield match.start(), match.end(), score


def _texts(text: str) -> Iterator[tuple[int, bytes]]:
    """Each of the texts that are analysed in one go, and where it begins."""
    base = 0
    for one in text.encode("ascii", "replace").split(BREAK.encode()):
        yield base, one
        base += len(one) + 1


def _metadata(name: str, identifier: str) -> dict[str, str]:
    return {
        RecognizerResult.RECOGNIZER_NAME_KEY: name,
        RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: identifier,
    }
