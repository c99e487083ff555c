"""A whole document: walk, find, replace. What comes out is the same tree with findings taken out.

The input is never changed. Numbers, enumerations and everything else outside a finding stay; JSON
inside strings stays JSON. What must not be edited and holds a finding refuses the call.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Protocol

from gateway.categories import PLACEHOLDER, Category, Scope
from gateway.errors import Code, Refused
from gateway.redaction.findings import Finding
from gateway.redaction.segments import REACH
from gateway.redaction.treatment import Treatment, sentences
from providers.document import Document
from providers.text import Kind, Path, Slot, Strings, TooMany, replace, strings

_READ_AS_SPACES = str.maketrans("_-", "  ")
_GLUES = ("", " ")
"""How a reader may take two adjacent text parts: as one word, or as two."""


class Finds(Protocol):
    """What finds: the detector, or an engine in the same process."""

    async def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """The findings of each text, in order and apart; raises `Unavailable` if it cannot look."""
        ...


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A document without findings, and how many were taken out, by category."""

    document: Document = field(repr=False)
    redactions: Mapping[Category, int]


@dataclass(frozen=True, slots=True)
class Place:
    """One string of a document that holds findings: where it stands, in the surface's words, and what was found in it.

    `nested` is how deep in JSON inside that string it stands; 0 for the string itself.
    """

    where: str
    text: str = field(repr=False)
    findings: Sequence[Finding]
    nested: int = 0


def typed(category: Category) -> str:
    """The placeholder that names the category, for operators who choose that."""
    return f"{PLACEHOLDER[:-1]}:{category}]"


def untyped(_category: Category) -> str:
    """The placeholder of the contract: the same for all categories."""
    return PLACEHOLDER


_USUAL = Treatment()


class Redactor:
    """Takes special-category data out of documents and texts.

    Args:
        detector: who looks.
        known_keys: the field names of the wires' surfaces, which are not content.
        placeholder: category -> what stands for a finding; `untyped` or `typed`.
        treatment: how much goes with a finding.
    """

    def __init__(
        self,
        detector: Finds,
        known_keys: frozenset[str] = frozenset(),
        placeholder: Callable[[Category], str] = untyped,
        treatment: Treatment = _USUAL,
    ) -> None:
        self._detector = detector
        self._known_keys = known_keys
        self._placeholder = placeholder
        self._treatment = treatment

    def under(self, treatment: Treatment) -> Redactor:
        """The same, for a tenant that asks for this treatment."""
        if treatment == self._treatment:
            return self
        return Redactor(self._detector, self._known_keys, self._placeholder, treatment)

    async def clean(self, document: Document) -> Cleaned:
        """The document with every finding replaced; the same object if there was none.

        Raises:
            Refused: a finding in what must stay as it is, or any where the treatment is to refuse
                (`content_not_scannable`, with its path).
            Unavailable: nobody could look.
        """
        read, spans = await self._look(document)
        if not any(spans):
            return Cleaned(document, {})
        return self._replaced(document, read, spans)

    async def places(self, document: Document) -> list[Place]:
        """What `clean` would take out, string by string, for whoever asked to see it.

        Raises:
            Refused, Unavailable: as `clean`.
        """
        read, spans = await self._look(document)
        return [
            Place(_where(document, slot.path, self._known_keys), slot.text, _apart(findings), len(slot.inside))
            for slot, findings in zip(read.slots, spans, strict=True)
            if findings
        ]

    async def _look(self, document: Document) -> tuple[Strings, list[list[Finding]]]:
        """Every string of a document, and the findings of each; those of several readings may overlap."""
        try:
            read = strings(document, self._known_keys)
        except TooMany:
            raise Refused(Code.CONTENT_NOT_SCANNABLE, "The document holds more strings than can be scanned.") from None
        if not read.slots:
            return read, []
        seams = _seams(read)
        texts = [_as_read(slot) for slot in read.slots]
        found = await self._detector.find([*texts, *(seam.text for seam in seams)])
        spans = found[: len(texts)]
        for seam, findings in zip(seams, found[len(texts) :], strict=True):
            for finding in findings:
                seam.share_out(finding, spans)
        return read, spans

    async def redact(self, text: str) -> tuple[str, Mapping[Category, int]]:
        """One text with every finding replaced, and how many there were.

        Raises:
            Unavailable: nobody could look.
        """
        (findings,) = await self._detector.find([text])
        if self._treatment.scope is not Scope.SPAN:
            findings = sentences(text, findings)
        return self.replaced(text, findings), Counter(finding.category for finding in findings)

    def replaced(self, text: str, findings: Sequence[Finding]) -> str:
        """The text with placeholders for its findings, which are in order and apart."""
        parts: list[str] = []
        done = 0
        for finding in findings:
            parts.append(text[done : finding.start])
            if finding.score >= 0:
                parts.append(self._placeholder(finding.category))
            done = finding.end
        parts.append(text[done:])
        return "".join(parts)

    def _replaced(self, document: Document, read: Strings, spans: list[list[Finding]]) -> Cleaned:
        redactions: Counter[Category] = Counter()
        changes: dict[int, str] = {}
        for index, findings in enumerate(spans):
            if not findings:
                continue
            slot = read.slots[index]
            if self._treatment.scope is Scope.REFUSE:
                raise Refused(
                    Code.CONTENT_NOT_SCANNABLE,
                    "No special-category data may leave for this tenant, redacted or not, and this field holds some.",
                    where=_where(document, slot.path, self._known_keys),
                )
            if slot.kind in {Kind.IDENTIFIER, Kind.SEALED}:
                raise Refused(
                    Code.CONTENT_NOT_SCANNABLE,
                    "This field must pass as it is, and holds special-category data.",
                    where=_where(document, slot.path, self._known_keys),
                )
            apart = _apart(findings)
            if self._treatment.scope is Scope.SENTENCE:
                apart = sentences(slot.text, apart)
            changes[index] = self.replaced(slot.text, apart)
            redactions.update(finding.category for finding in apart if finding.score >= 0)
        return Cleaned(replace(document, changes, read.slots), dict(redactions))


_CONTINUED = -1.0
"""Score of the rest of a finding whose placeholder stands in an earlier part."""


@dataclass(frozen=True, slots=True)
class _Seam:
    """Adjacent parts as one text. `places` are (start in `text`, end in `text`, slot, offset in the slot), in order."""

    text: str
    places: Sequence[tuple[int, int, int, int]]

    def share_out(self, finding: Finding, spans: list[list[Finding]]) -> None:
        """Give a finding that runs over a boundary to the parts it covers; others are known already."""
        at = bisect_right(self.places, finding.start, key=itemgetter(1))
        covered = self.places[at : bisect_left(self.places, finding.end, key=itemgetter(0))]
        if len(covered) < 2:
            return
        score = finding.score
        for start, end, index, offset in covered:
            first, last = max(start, finding.start), min(end, finding.end)
            shift = offset - start
            spans[index] = [*spans[index], Finding(first + shift, last + shift, finding.category, score)]
            score = _CONTINUED


def _seams(read: Strings) -> list[_Seam]:
    """The texts round all boundaries. Their size is linear in the document's, however small its parts are."""
    return [
        _seam(stretches, glue)
        for run in read.runs
        for stretches in _stretches([(index, read.slots[index].text) for index in run if read.slots[index].text])
        for glue in _GLUES
    ]


def _stretches(parts: Sequence[tuple[int, str]]) -> Iterator[list[tuple[int, int, str]]]:
    """Groups of (slot, offset, stretch) that read on: short parts whole, of a long one `REACH` at either end."""
    group: list[tuple[int, int, str]] = []
    for index, text in parts:
        if len(text) <= 2 * REACH:
            group.append((index, 0, text))
            continue
        if group:
            yield [*group, (index, 0, text[:REACH])]
        group = [(index, len(text) - REACH, text[-REACH:])]
    if len(group) > 1:
        yield group


def _seam(stretches: Sequence[tuple[int, int, str]], glue: str) -> _Seam:
    places: list[tuple[int, int, int, int]] = []
    position = 0
    for index, offset, stretch in stretches:
        places.append((position, position + len(stretch), index, offset))
        position += len(stretch) + len(glue)
    return _Seam(glue.join(stretch for _index, _offset, stretch in stretches), places)


def _apart(findings: Sequence[Finding]) -> list[Finding]:
    """Findings of several readings of one text, in order and apart. A placeholder wins over a continuation."""
    apart: list[Finding] = []
    for new in sorted(findings):
        if apart and new.start < apart[-1].end:
            old = apart.pop()
            best = old if old.score >= new.score else new
            apart.append(Finding(old.start, max(old.end, new.end), best.category, best.score))
        else:
            apart.append(new)
    return apart


def _as_read(slot: Slot) -> str:
    return slot.text.translate(_READ_AS_SPACES) if slot.kind is Kind.IDENTIFIER else slot.text


def _where(document: Document, path: Path, known_keys: frozenset[str]) -> str:
    """A path in names that the surface knows, indices, and `?N` for the N-th key of an object (from 0)."""
    words: list[str] = []
    here: object = document
    for step in path:
        if isinstance(step, int):
            words.append(f"[{step}]")
            here = here[step] if isinstance(here, list) else None
            continue
        members = here if isinstance(here, dict) else {}
        word = step if step in known_keys else f"?{list(members).index(step)}" if step in members else "?"
        words.append(f".{word}" if words else word)
        here = members.get(step)
    return "".join(words)
