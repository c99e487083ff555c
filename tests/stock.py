"""Stock Presidio to compare with: its own pattern recognisers, no model, no download, its default settings."""

from __future__ import annotations

from gateway.redaction import lean

lean.install()

from presidio_analyzer import AnalyzerEngine, RecognizerRegistry  # noqa: E402
from presidio_analyzer.nlp_engine import NlpArtifacts  # noqa: E402

from gateway.redaction.engine import NoLanguage, silence  # noqa: E402
from tests.scores import Span  # noqa: E402

LANGUAGE = "en"


class _English(NoLanguage):
    """Says that it speaks the language of Presidio's default recognisers."""

    def get_supported_languages(self) -> list[str]:
        """English."""
        return [LANGUAGE]


class Stock:
    """The analyser as its documentation sets it up, less the recogniser that would need a model."""

    def __init__(self) -> None:
        silence()
        registry = RecognizerRegistry(supported_languages=[LANGUAGE])
        registry.load_predefined_recognizers(languages=[LANGUAGE])
        registry.recognizers = [one for one in registry.recognizers if one.name != "SpacyRecognizer"]
        self._analyzer = AnalyzerEngine(registry=registry, nlp_engine=_English(), supported_languages=[LANGUAGE])
        self._artifacts: NlpArtifacts = _English().process_text("", LANGUAGE)

    def find(self, text: str) -> list[Span]:
        """What it finds, under its own names, in order."""
        results = self._analyzer.analyze(text=text, language=LANGUAGE, nlp_artifacts=self._artifacts)
        return sorted(Span(one.start, one.end, one.entity_type) for one in results)
