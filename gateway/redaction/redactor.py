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
from typing import Protocol, TypeAlias

from msgspec import Struct

from gateway.categories import PLACEHOLDER, Category, Personal, Scope
from gateway.errors import Code, Refused
from gateway.redaction.fields import Fields
from gateway.redaction.findings import Finding, behind, beside
from gateway.redaction.memory import Words
from gateway.redaction.personal import placeholder as stand_in
from gateway.redaction.segments import REACH
from gateway.redaction.stream import Channels, Settles
from gateway.redaction.treatment import USUAL, Treatment, sentences
from providers.document import Document
from providers.text import Kind, Path, Slot, Strings, TooMany, replace, strings

_READ_AS_SPACES = str.maketrans("_-", "  ")
_GLUES = ("", " ")
"""How a reader may take two adjacent text parts: as one word, or as two."""


class Finds(Settles, Protocol):
    """What finds: the detector, or an engine in the same process."""

    async def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """The findings of each text, in order and apart; raises `Unavailable` if it cannot look."""
        ...


class Cleaned(Struct, frozen=True):
    """A document without findings, and how many were taken out, by category.

    `values` are the ordinary personal data that stood where placeholders stand now, by placeholder; `taken` are the
    findings that were taken out of each string that changed.
    """

    document: Document
    redactions: Mapping[Category | Personal, int]
    values: Mapping[str, str] = {}
    taken: Sequence[tuple[Path, Sequence[Finding]]] = ()

    def __repr__(self) -> str:
        return "<Cleaned>"

    def of_items(self, member: str, items: range) -> Sequence[tuple[Path, Sequence[Finding]]]:
        """What was taken out of these items of the list that is a member of the document."""
        return [one for one in self.taken if one[0][0] == member and one[0][1] in items] if self.taken else ()


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


_NO_FIELDS = Fields()
_Wholes: TypeAlias = "dict[int, dict[int, str]]"
_NONE: Mapping[int, str] = {}


class Redactor:
    """Takes special-category data out of documents and texts.

    Args:
        detector: who looks.
        known_keys: the field names of the wires' surfaces, which are not content.
        placeholder: category -> what stands for a finding; `untyped` or `typed`.
        treatment: how much goes with a finding.
        fields: keys whose values are findings.
        words: what was found clean in answers before.
    """

    def __init__(
        self,
        detector: Finds,
        known_keys: frozenset[str] = frozenset(),
        placeholder: Callable[[Category], str] = untyped,
        treatment: Treatment = USUAL,
        fields: Fields = _NO_FIELDS,
        words: Words | None = None,
    ) -> None:
        self._detector = detector
        self._known_keys = known_keys
        self._placeholder = placeholder
        self._treatment = treatment
        self._fields = fields
        self.words = Words() if words is None else words

    def under(self, treatment: Treatment) -> Redactor:
        """The same, for a tenant that asks for this treatment."""
        if treatment is self._treatment or treatment == self._treatment:
            return self
        return Redactor(self._detector, self._known_keys, self._placeholder, treatment, self._fields, self.words)

    @property
    def restores(self) -> bool:
        """Whether answers get ordinary personal data back."""
        return self._treatment.restore

    @property
    def reads_on(self) -> bool:
        """Whether what is taken out of a text is decided by what stands near: a sentence may be of any length."""
        return self._treatment.scope is not Scope.SENTENCE

    async def clean(self, document: Document, known: tuple[Path, int] | None = None) -> Cleaned:
        """The document with every finding replaced; the same object if there was none.

        Args:
            document: what is to leave.
            known: a string of it, and how many of its first characters were cleaned before; they are context.

        Raises:
            Refused: a finding in what must stay as it is, or any where the treatment is to refuse
                (`content_not_scannable`, with its path).
            Unavailable: nobody could look.
        """
        read, spans, wholes = await self._look(document)
        if known is not None:
            path, characters = known
            at = next(index for index, slot in enumerate(read.slots) if slot.path == path and slot.kind is Kind.CONTENT)
            spans[at] = behind(spans[at], characters)
        if not any(spans):
            return Cleaned(document, {})
        return self._replaced(document, read, spans, wholes)

    async def places(self, document: Document) -> list[Place]:
        """What `clean` would take out, string by string, for whoever asked to see it.

        Raises:
            Refused, Unavailable: as `clean`.
        """
        read, spans, _wholes = await self._look(document)
        return [
            Place(_where(document, slot.path, self._known_keys), slot.text, _apart(findings), len(slot.inside))
            for slot, findings in zip(read.slots, spans, strict=True)
            if findings
        ]

    async def _look(self, document: Document) -> tuple[Strings, list[list[Finding]], _Wholes]:
        """Every string of a document, and the findings of each; those of several readings may overlap.

        And by slot and start, the whole of what runs on into later slots.
        """
        try:
            read = strings(document, self._known_keys)
        except TooMany:
            raise Refused(Code.CONTENT_NOT_SCANNABLE, "The document holds more strings than can be scanned.") from None
        if not read.slots:
            return read, [], {}
        seams = _seams(read)
        texts = [
            slot.text.translate(_READ_AS_SPACES) if slot.kind is Kind.IDENTIFIER else slot.text for slot in read.slots
        ]
        found = await self._detector.find([*texts, *[seam.text for seam in seams]])
        if self._treatment.pseudonym is None:
            found = [findings and _special(findings) for findings in found]
        spans = found[: len(texts)]
        wholes: _Wholes = {}
        for seam, findings in zip(seams, found[len(texts) :], strict=True):
            for finding in findings:
                begins = seam.share_out(finding, spans)
                if begins is not None:
                    wholes.setdefault(begins[0], {})[begins[1]] = seam.text[finding.start : finding.end]
        for index, finding in self._fields.find(read.slots).items():
            spans[index] = [*spans[index], finding]
        return read, spans, wholes

    def channels(self, held: int) -> Channels:
        """For the texts of one answer, which may come in pieces; `held` characters of each may wait at most."""
        return Channels(self._detector, held, self._treatment.scope)

    @property
    def refuses(self) -> bool:
        """Whether any finding is to refuse."""
        return self._treatment.scope is Scope.REFUSE

    async def redact(self, text: str) -> tuple[str, Mapping[Category, int]]:
        """One text with every special-category finding replaced, and how many there were.

        Raises:
            Unavailable: nobody could look.
        """
        (found,) = await self._detector.find([text])
        findings = _special(found)
        if self._treatment.scope is not Scope.SPAN:
            findings = sentences(text, findings)
        return self.replaced(text, findings), Counter(
            finding.category for finding in findings if isinstance(finding.category, Category)
        )

    @property
    def placeholder(self) -> Callable[[Category], str]:
        """What stands for a finding."""
        return self._placeholder

    def replaced(self, text: str, findings: Sequence[Finding], values: Mapping[int, str] = _NONE) -> str:
        """The text with placeholders for its findings, which are in order and apart.

        `values` are what placeholders of personal data stand for, by start, where it is more than stands there.
        """
        parts: list[str] = []
        done = 0
        for finding in findings:
            parts.append(text[done : finding.start])
            if finding.score >= 0:
                parts.append(self._stand_in(finding, values.get(finding.start) or text[finding.start : finding.end]))
            done = finding.end
        parts.append(text[done:])
        return "".join(parts)

    def _stand_in(self, finding: Finding, value: str) -> str:
        if isinstance(finding.category, Category):
            return self._placeholder(finding.category)
        pseudonym = self._treatment.pseudonym
        assert pseudonym is not None  # noqa: S101  # findings of this kind were left out else
        return stand_in(finding.category, value, pseudonym)

    def _replaced(self, document: Document, read: Strings, spans: list[list[Finding]], wholes: _Wholes) -> Cleaned:
        redactions: Counter[Category | Personal] = Counter()
        taken: list[tuple[Path, list[Finding]]] = []
        changes: dict[int, str] = {}
        values: dict[str, str] = {}
        for index, findings in enumerate(spans):
            if not findings:
                continue
            slot = read.slots[index]
            apart = self._allowed(document, slot, findings)
            if not apart:
                continue
            whole = wholes.get(index, _NONE)
            changes[index] = self.replaced(slot.text, apart, whole)
            here = [one for one in apart if one.score >= 0]
            for one in here:
                redactions[one.category] += 1
                if isinstance(one.category, Personal):
                    value = whole.get(one.start) or slot.text[one.start : one.end]
                    values.setdefault(self._stand_in(one, value), value)
            taken.append((slot.path, here))
        if not changes:
            return Cleaned(document, {})
        return Cleaned(replace(document, changes, read.slots), dict(redactions), values, taken)

    def _allowed(self, document: Document, slot: Slot, findings: Sequence[Finding]) -> list[Finding]:
        """What is to be replaced in one string, in order and apart.

        Ordinary personal data in what must stay as it is stays: that is a closed grammar, or the provider's own.

        Raises:
            Refused: special-category data in such a field, or anywhere if the treatment is to refuse.
        """
        special = _special(findings)
        fixed = slot.kind in {Kind.IDENTIFIER, Kind.SEALED}
        if special and (fixed or self._treatment.scope is Scope.REFUSE):
            raise Refused(
                Code.CONTENT_NOT_SCANNABLE,
                "This field must pass as it is, and holds special-category data."
                if fixed
                else "No special-category data may leave for this tenant, redacted or not, and this field holds some.",
                where=_where(document, slot.path, self._known_keys),
            )
        if fixed:
            return []
        apart = _apart(special)
        if self._treatment.scope is Scope.SENTENCE:
            apart = sentences(slot.text, apart)
        return beside(apart, _apart([one for one in findings if isinstance(one.category, Personal)]))


def _special(findings: Sequence[Finding]) -> list[Finding]:
    return [one for one in findings if isinstance(one.category, Category)]


_CONTINUED = -1.0
"""Score of the rest of a finding whose placeholder stands in an earlier part."""


@dataclass(frozen=True, slots=True)
class _Seam:
    """Adjacent parts as one text. `places` are (start in `text`, end in `text`, slot, offset in the slot), in order."""

    text: str
    places: Sequence[tuple[int, int, int, int]]

    def share_out(self, finding: Finding, spans: list[list[Finding]]) -> tuple[int, int] | None:
        """Give a finding that runs over a boundary to the parts it covers; others are known already.

        Returns the slot and the offset in it where the finding begins.
        """
        at = bisect_right(self.places, finding.start, key=itemgetter(1))
        covered = self.places[at : bisect_left(self.places, finding.end, key=itemgetter(0))]
        if len(covered) < 2:
            return None
        score = finding.score
        for start, end, index, offset in covered:
            first, last = max(start, finding.start), min(end, finding.end)
            shift = offset - start
            spans[index] = [*spans[index], Finding(first + shift, last + shift, finding.category, score)]
            score = _CONTINUED
        start, _end, index, offset = covered[0]
        return index, max(start, finding.start) + offset - start


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
    """Findings of several readings of one text, in order and apart.

    A placeholder wins over a continuation; not so for a value of personal data, which has one placeholder.
    """
    apart: list[Finding] = []
    for new in sorted(findings):
        if apart and new.start < apart[-1].end:
            old = apart.pop()
            best = old if old.score >= new.score else new
            if isinstance(best.category, Personal) and min(old.score, new.score) < 0:
                best = old if old.score < 0 else new
            apart.append(best._replace(start=old.start, end=max(old.end, new.end)))
        else:
            apart.append(new)
    return apart


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
