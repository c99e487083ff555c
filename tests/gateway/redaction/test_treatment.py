"""Sentences: what goes along with a finding for a tenant that wants more taken out."""

from __future__ import annotations

import asyncio

import pytest

from gateway.categories import Category, Scope
from gateway.errors import Code, Refused
from gateway.redaction.findings import Finding
from gateway.redaction.redactor import Redactor
from gateway.redaction.treatment import REACH, Treatment, sentences
from providers.document import Document
from tests.gateway.redaction.conftest import InProcess

CASES = {
    "the only sentence": ("He has <lupus>", "<He has lupus>"),
    "between two others": ("Fine. He has <lupus>! Bye.", "Fine. <He has lupus!> Bye."),
    "a question in quotes": ('"Is it <lupus>?" she said', '<"Is it lupus?"> she said'),
    "a line of a transcript": (
        "Ann: hi\nBob: he has <lupus> now\nAnn: oh",
        "Ann: hi\n<Bob: he has lupus now>\nAnn: oh",
    ),
    "a title is no end": ("So Dr. Ames says <lupus>. Bye", "<So Dr. Ames says lupus.> Bye"),
    "a decimal point is no end": ("At 3.5 percent he has <lupus>. Bye", "<At 3.5 percent he has lupus.> Bye"),
    "two in one sentence": ("He has <lupus> and <HIV>. Bye", "<He has lupus and HIV.> Bye"),
    "two in neighbouring sentences": ("He has <lupus>. She has <HIV>.", "<He has lupus.> <She has HIV.>"),
    "wide marks": ("\u597d\u3002 lupus <is> it\u3002 x", "\u597d\u3002 <lupus is it\u3002> x"),
}


def read(marked: str) -> tuple[str, list[Finding]]:
    """A text, and its `<...>` as findings."""
    text, findings = "", []
    for index, part in enumerate(marked.replace(">", "<").split("<")):
        if index % 2:
            findings.append(Finding(len(text), len(text) + len(part), Category.HEALTH, 0.9))
        text += part
    return text, findings


@pytest.mark.parametrize(("marked", "expected"), CASES.values(), ids=CASES.keys())
def test_the_whole_sentence_goes(marked: str, expected: str) -> None:
    """From the end of the sentence before to the sentence's own end."""
    text, findings = read(marked)

    wanted = read(expected)

    assert (text, sentences(text, findings)) == wanted


def test_talk_without_any_end_goes_at_a_bounded_distance() -> None:
    """Speech recognition writes no full stops: a bounded stretch goes, at whole words."""
    lead = "word " * 200
    text = f"{lead}lupus {lead}"
    start = text.index("lupus")

    (one,) = sentences(text, [Finding(start, start + 5, Category.HEALTH, 0.9)])

    assert start - REACH <= one.start <= start - REACH + 5
    assert start + REACH - 5 < one.end <= start + 5 + REACH
    assert text[one.start : one.end].startswith("word ")
    assert text[one.end] == " "


def treated(finds: InProcess, scope: Scope, document: Document) -> Document:
    """The document as a tenant with this scope sends it."""
    redactor = Redactor(finds).under(Treatment(scope))
    return asyncio.run(redactor.clean(document)).document


def test_sentences_of_a_document_go(finds: InProcess) -> None:
    """In every string of a document; what holds no finding stays."""
    document: Document = {"a": "It rains. My brother is HIV positive. Bye.", "b": ["It rains."]}

    assert treated(finds, Scope.SENTENCE, document) == {"a": "It rains. [REDACTED] Bye.", "b": ["It rains."]}


def test_a_call_is_refused(finds: InProcess) -> None:
    """With its place, and without its words; a call without a finding passes."""
    with pytest.raises(Refused) as caught:
        treated(finds, Scope.REFUSE, {"a": ["fine", "My brother is HIV positive."]})

    assert caught.value.code is Code.CONTENT_NOT_SCANNABLE
    assert caught.value.where == "?0[1]"
    assert "brother" not in caught.value.reason
    assert treated(finds, Scope.REFUSE, {"a": "It rains."}) == {"a": "It rains."}
