"""Findings in texts: folding, Presidio's analyser over our recognisers, and spans of the original.

Presidio runs as a frame and an API: no NLP model, our registry only, one language code for all.
Nothing here can reach the network, and nothing is logged: Presidio's decision process would write
texts into a log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import tldextract.tldextract
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, RecognizerResult
from presidio_analyzer.context_aware_enhancers import ContextAwareEnhancer
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

from gateway.categories import PERSONAL_DATA, Category, Personal
from gateway.redaction.findings import Answer, Ends, Finding, Item, Settled, Window, add, beside, merge
from gateway.redaction.folding import Folded, fold
from gateway.redaction.forms import Forms, Reading, words_of
from gateway.redaction.growth import GROWTH
from gateway.redaction.horizon import Horizon
from gateway.redaction.native import loaded
from gateway.redaction.plain import Plain
from gateway.redaction.recognizers import BREAK, LANGUAGE, Linear, SpecialCategories, no_artifacts
from gateway.redaction.rules import Compiled, Example, Report, compile_rules, ignore

if TYPE_CHECKING:
    from gateway.redaction.personal_recognizers import PersonalData

_SELF_TEST = 24
_WARMED = 16
_CATEGORIES = {category.value: category for category in Category}


class NotWorking(RuntimeError):
    """The engine does not find what its own rules say it must."""


class NoLanguage(NlpEngine):
    """An NLP engine that does nothing: it loads no model, so there is none to fetch."""

    engine_name = "none"
    is_available = True

    def load(self) -> None:
        """Nothing to load."""

    def is_loaded(self) -> bool:
        """Always."""
        return True

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """No artifacts: our recognisers use none."""
        return no_artifacts()

    def process_batch(
        self, texts: Iterable[str], language: str, batch_size: int = 1, n_process: int = 1, **kwargs: object
    ) -> Iterator[tuple[str, NlpArtifacts]]:
        """Never asked for."""
        raise NotImplementedError

    def is_stopword(self, word: str, language: str) -> bool:
        """No word is."""
        return False

    def is_punct(self, word: str, language: str) -> bool:
        """No word is."""
        return False

    def get_supported_entities(self) -> list[str]:
        """None of its own."""
        return []

    def get_supported_languages(self) -> list[str]:
        """The one code that all our recognisers bear."""
        return [LANGUAGE]


class Everybody(RecognizerRegistry):
    """Recognisers of one language that are all wanted each time. (Presidio's own looks for who knows each entity.)"""

    def get_recognizers(
        self,
        language: str,
        entities: list[str] | None = None,
        all_fields: bool = False,
        ad_hoc_recognizers: list[EntityRecognizer] | None = None,
    ) -> list[EntityRecognizer]:
        """All of them."""
        return list(self.recognizers)


class AsFound(ContextAwareEnhancer):
    """Leaves results as they are: what stands round a finding was judged already. (Presidio's own copies them all.)"""

    def __init__(self) -> None:
        super().__init__(0.0, 0.0, 0, 0)

    def enhance_using_context(
        self,
        text: str,
        raw_results: list[RecognizerResult],
        nlp_artifacts: NlpArtifacts,
        recognizers: list[EntityRecognizer],
        context: list[str] | None = None,
    ) -> list[RecognizerResult]:
        """The results."""
        return raw_results


class Engine:
    """Finds special categories. Pure after construction; one thread at a time.

    Args:
        mappings: what the files of `config/recognizers/` hold, by stem.
        report: is told of each fault in them.
        where: the folder with what was made of the same rules before, see `kept`.
        terms: whether `compiled.terms` are wanted in any case: 10 MB that no scan looks at.

    Raises:
        RulesInvalid: the mappings are not rules.
    """

    def __init__(
        self,
        mappings: Mapping[str, Plain],
        report: Report = ignore,
        where: Path | None = None,
        *,
        terms: bool = False,
    ) -> None:
        silence()
        self.compiled: Compiled = compile_rules(mappings, report, where, terms=terms)
        self._personal = _personal(mappings)
        self._forms = Forms(words_of([mapping for stem, mapping in mappings.items() if stem != GROWTH]))
        self._own = [Linear(custom) for custom in self.compiled.custom]
        self._analyzer = _analyzer([SpecialCategories(self.compiled), *self._own])
        self._artifacts = no_artifacts()

    def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """The findings of each text, in order and apart (overlaps are merged); other forms of it are read beside it."""
        return self._found(texts, ())

    def settle(self, windows: Sequence[Window]) -> list[Settled]:
        """What is found in each window of a text that goes on, and up to where that is final."""
        return cast("list[Settled]", self.look(windows))

    def look(self, items: Sequence[Item]) -> list[Answer]:
        """Both, for the items of a frame. What is whole is analysed in one go, but none sees another."""
        texts = [item for item in items if isinstance(item, str)]
        whole = [item.text for item in items if not isinstance(item, str) and item.is_whole]
        found = self._found(texts, whole)
        of_texts, of_whole = iter(found), iter(found[len(texts) :])
        return [
            next(of_texts)
            if isinstance(item, str)
            else Settled(next(of_whole), len(item.text))
            if item.is_whole
            else self._horizon.settle(item)
            for item in items
        ]

    def _found(self, texts: Sequence[str], plain: Sequence[str]) -> list[list[Finding]]:
        """The findings of each text in any form, then those of each plain one as it stands."""
        read = [(index, reading) for index, text in enumerate(texts) for reading in self._forms.readings(text)]
        every = self._plainly([*texts, *plain, *(reading.text for _index, reading in read)])
        found, rest = every[: len(texts)], every[len(texts) :]
        for (index, reading), findings in zip(read, rest[len(plain) :], strict=True):
            found[index] = merge(found[index], list(_as_written(reading, findings)))
        if self._personal is not None:
            found = [beside(one, self._personal.find(text)) for one, text in zip(found, texts, strict=True)]
        return found + rest[: len(plain)]

    def _plainly(self, texts: Sequence[str]) -> list[list[Finding]]:
        """The findings of each text as it stands."""
        if not texts:
            return []
        folded = [fold(text) for text in texts]
        shadow = BREAK.join([one.shadow for one in folded])
        results: list[_Result] = [
            (one.start, one.end, _CATEGORIES[one.entity_type], float(one.score))
            for one in self._analyzer.analyze(
                text=shadow, language=LANGUAGE, entities=[*_CATEGORIES], nlp_artifacts=self._artifacts
            )
        ]
        results.sort(key=_position)
        found: list[list[Finding]] = [[] for _text in texts]
        if results:
            _share_out(results, folded, found)
        return found

    @cached_property
    def _horizon(self) -> Horizon:
        return Horizon(self.compiled, self._own)

    def warm(self) -> None:
        """Look once at what the rules name, so that the first real text meets built automata.

        Worth a tenth of a second before workers are forked: they share what is built here.
        """
        texts = [example.text for example in self.compiled.examples]
        self.find([*texts, *map(str.lower, texts)])
        self.settle([Window(text, 0, Ends.OPEN) for text in texts[::_WARMED]])

    def test(self) -> None:
        """Find known phrases of every category.

        Raises:
            NotWorking: one was missed, so nothing this engine says can be trusted.
        """
        known = [example for category in Category for example in self._examples(category)]
        found = self.find([example.text for example in known])
        self.settle([Window(known[0].text, 0, Ends.OPEN)])
        loaded()
        for example, findings in zip(known, found, strict=True):
            if not any(finding.category is example.category for finding in findings):
                raise NotWorking("a phrase that the rules know was not found")

    def _examples(self, category: Category) -> list[Example]:
        positive = [one for one in self.compiled.examples if one.category is category and one.found]
        if not positive:
            raise NotWorking("a category has no example to test with")
        return positive[: _SELF_TEST // len(Category)]


def _personal(mappings: Mapping[str, Plain]) -> PersonalData | None:
    """The recognisers of ordinary personal data that were asked for; None, and nothing imported, if none was."""
    kinds = mappings.get(PERSONAL_DATA)
    if not isinstance(kinds, list) or not kinds:
        return None
    from gateway.redaction.personal_recognizers import PersonalData  # noqa: PLC0415  # phone numbers of all countries

    return PersonalData(Personal(str(kind)) for kind in kinds)


def _as_written(reading: Reading, findings: Sequence[Finding]) -> Iterator[Finding]:
    """What stands in a text under markup or an encoding, in the text's own code points."""
    for one in findings:
        if one.start >= reading.low and one.end <= reading.high:
            start, end = reading.original(one.start, one.end)
            yield one._replace(start=start, end=end)


_Result: TypeAlias = "tuple[int, int, Category, float]"


def _analyzer(recognizers: Sequence[EntityRecognizer]) -> AnalyzerEngine:
    """Presidio's analyser over our recogniser and an operator's own, and over no other."""
    registry = Everybody(recognizers=list(recognizers), supported_languages=[LANGUAGE])
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=NoLanguage(),
        supported_languages=[LANGUAGE],
        context_aware_enhancer=AsFound(),
        log_decision_process=False,
    )


def _position(result: _Result) -> tuple[int, int]:
    return result[0], -result[1]


def _share_out(results: list[_Result], folded: list[Folded], found: list[list[Finding]]) -> None:
    """Give each result to its text, in that text's own offsets. `results` are in order."""
    index = 0
    base = 0
    for first, last, category, score in results:
        while first > base + len(folded[index].shadow):
            base += len(folded[index].shadow) + 1
            index += 1
        start, end = folded[index].original(first - base, last - base)
        if start < end:
            add(found[index], Finding(start, end, category, score))


def silence() -> None:
    """Keep Presidio from writing what it sees, and its suffix list from being fetched."""
    for name in ("presidio-analyzer", "presidio_analyzer", "decision_process", "tldextract", "filelock"):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.CRITICAL)
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())
