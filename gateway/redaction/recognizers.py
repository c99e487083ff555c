"""The rules as Presidio recognisers, for our engine and for an operator's own."""

from __future__ import annotations

from collections.abc import Iterator

import re2
from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts

from gateway.categories import Category
from gateway.redaction.edges import NUMBERS
from gateway.redaction.rules import Compiled, Custom, gapped, linear_options
from gateway.redaction.tables import Numbers, numbers

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


class Result(RecognizerResult):
    """Presidio's own, told from others by where it stands: analysers ask for the hash of each, and its takes longer."""

    def __hash__(self) -> int:
        return hash((self.start, self.end))


class SpecialCategories(EntityRecognizer):
    """The compiled rules as one Presidio recogniser for all eight categories and both languages.

    It expects folded text (`folding.fold`), with `BREAK` between texts that have nothing to do
    with each other. Usable in any `AnalyzerEngine` that analyses in the language `any`.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        rules = compiled.scanner.rules
        self._entities = [rule.category.value for rule in rules]
        self._scores = [rule.score for rule in rules]
        self._categories = numbers([NUMBERS[rule.category] for rule in rules])
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
        entity, score = self._entities, self._scores
        return [
            Result(entity[rule], start, end, score[rule], recognition_metadata=self._metadata)
            for start, end, rule in self._found(text).tolist()
            if entity[rule] in wanted
        ]

    def _found(self, text: str) -> Numbers:
        """What the rules find, each with what belongs to it: where it begins and ends, and its rule's number, a row."""
        cased = text.encode("ascii", "replace")
        lower = cased.lower()
        found = self._compiled.scanner.rows(cased, lower)
        growth = self._compiled.growth
        if growth is None or not len(found):
            return found
        starts, first = found[:, 0], 0
        while first < len(found):
            base, end = _text_at(lower, int(starts[first]))
            last = int(starts.searchsorted(end))
            rows = found[first:last]
            asked = rows - base
            asked[:, 2] = self._categories[rows[:, 2]]
            rows[:, :2] = growth.rows(lower[base:end], asked)[:, :2]
            rows[:, :2] += base
            first = last
        return found


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
            Result(entity, base + start, base + end, score, recognition_metadata=self._metadata)
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


def _text_at(texts: bytes, place: int) -> tuple[int, int]:
    """Where the one text begins and ends that a place is in."""
    end = texts.find(BREAK.encode(), place)
    return texts.rfind(BREAK.encode(), 0, place) + 1, len(texts) if end < 0 else end


def _metadata(name: str, identifier: str) -> dict[str, str]:
    return {
        RecognizerResult.RECOGNIZER_NAME_KEY: name,
        RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: identifier,
    }
