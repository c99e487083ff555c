"""Ordinary personal data by Presidio's own recognisers, checksums included. Only where the operator asks for it.

Each runs on the stretches of a folded text that hold digits or an at sign, so that talk without them costs next to
nothing. What no checksum proves needs a word beside it that says what it is: nine digits are mostly an amount.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer
from presidio_analyzer.predefined_recognizers import (
    CaSinRecognizer,
    CreditCardRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    MacAddressRecognizer,
    NhsRecognizer,
    PhoneRecognizer,
    UkNinoRecognizer,
    UsItinRecognizer,
    UsSsnRecognizer,
)

from gateway.categories import Personal
from gateway.redaction.findings import Finding
from gateway.redaction.folding import fold
from gateway.redaction.recognizers import LANGUAGE, no_artifacts

Reading: TypeAlias = "tuple[str, Callable[[int, int], tuple[int, int]]]"
"""A text as it may be read, and the way back to the original's code points."""
ENOUGH = 0.4
"""What a pattern scores without a checksum or a word beside it is often less."""
_BESIDE = 0.35
_REGIONS = ("US", "CA", "GB", "FR", "DE", "BE", "CH", "IE", "ES", "IT", "NL", "IN", "BR", "AU")
_AROUND = 48
_HINT = re.compile(r"@|\d{2}|\d[ .-]\d|:[0-9a-fA-F]*:")
_SPOKEN = {
    word: str(number % 10)
    for number, word in enumerate(
        """zero one two three four five six seven eight nine
        zéro un deux trois quatre cinq six sept huit neuf
        oh une two three four five six seven eight niner""".split()  # noqa: SIM905  # ten a line, read as digits
    )
}
_SPOKEN_RUN = re.compile(rf"\b(?:{'|'.join(_SPOKEN)})(?:[\s,.-]+(?:{'|'.join(_SPOKEN)}|\d)\b){{6,}}", re.IGNORECASE)
_SPOKEN_ADDRESS = re.compile(
    r"\b[a-z0-9]+(?:(?: dot | point | underscore | dash |[._-])[a-z0-9]+)*(?: at | arobase )"
    r"[a-z0-9]+(?:(?: dot | point |[.-])[a-z0-9]+)*(?: dot | point )"
    r"(?:com|org|net|ca|fr|io|co|uk|edu|gov|info|ai|eu|de|qc)\b",
    re.IGNORECASE,
)


class FrNirRecognizer(PatternRecognizer):
    """The French social-security number (NIR, INSEE RNIPP): 13 digits and a key of two, 97 less their remainder."""

    def __init__(self) -> None:
        super().__init__(
            supported_entity="FR_NIR",
            supported_language=LANGUAGE,
            patterns=[
                Pattern(
                    "NIR",
                    r"\b[1-478] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AaBb]) ?\d{3} ?\d{3} ?\d{2}\b",
                    0.3,
                )
            ],
            context=["sécu", "nir", "sécurité sociale", "insee", "vitale"],
        )

    def validate_result(self, pattern_text: str) -> bool:
        """Whether the key is right. Corsica's 2A and 2B count as 19 and 18."""
        written = pattern_text.replace(" ", "").upper().replace("2A", "19").replace("2B", "18")
        return 97 - int(written[:13]) % 97 == int(written[13:])


def _phone() -> EntityRecognizer:
    return PhoneRecognizer(supported_language=LANGUAGE, supported_regions=_REGIONS)


_MAKERS: dict[Personal, Callable[[], EntityRecognizer]] = {
    Personal.EMAIL: lambda: EmailRecognizer(supported_language=LANGUAGE),
    Personal.PHONE: _phone,
    Personal.CARD: lambda: CreditCardRecognizer(supported_language=LANGUAGE),
    Personal.IBAN: lambda: IbanRecognizer(supported_language=LANGUAGE),
    Personal.IP: lambda: IpRecognizer(supported_language=LANGUAGE),
    Personal.MAC: lambda: MacAddressRecognizer(supported_language=LANGUAGE),
    Personal.CA_SIN: lambda: CaSinRecognizer(supported_language=LANGUAGE),
    Personal.US_SSN: lambda: UsSsnRecognizer(supported_language=LANGUAGE),
    Personal.US_ITIN: lambda: UsItinRecognizer(supported_language=LANGUAGE),
    Personal.UK_NHS: lambda: NhsRecognizer(supported_language=LANGUAGE),
    Personal.UK_NINO: lambda: UkNinoRecognizer(supported_language=LANGUAGE),
    Personal.FR_NIR: FrNirRecognizer,
}
_NOTHING = no_artifacts()
_RANK = {kind: -index for index, kind in enumerate(Personal)}


@dataclass(frozen=True, slots=True)
class _Looker:
    kind: Personal
    recognizer: EntityRecognizer
    beside: re.Pattern[str] | None


class PersonalData:
    """Finds the kinds that were asked for. Construct only where no recogniser may fetch anything (`engine.silence`)."""

    def __init__(self, kinds: Iterable[Personal]) -> None:
        self._lookers = [_looker(kind, _MAKERS[kind]()) for kind in dict.fromkeys(kinds)]

    def find(self, text: str) -> list[Finding]:
        """The findings in a text, in its own code points, in order and apart: the surer one where two overlap."""
        found: list[Finding] = []
        if not self._lookers:
            return found
        for shadow, original in _readings(text):
            for start, end in _stretches(shadow):
                for one in self._look(shadow, start, end):
                    first, last = original(one.start, one.end)
                    found.append(Finding(first, last, one.category, one.score))
        return _apart(found)

    def _look(self, shadow: str, start: int, end: int) -> list[Finding]:
        stretch = shadow[start:end]
        found: list[Finding] = []
        for looker in self._lookers:
            for result in looker.recognizer.analyze(stretch, looker.recognizer.supported_entities, _NOTHING) or ():
                score = float(result.score)
                before = stretch[max(0, result.start - _AROUND) : result.start]
                if score < 1 and looker.beside is not None and looker.beside.search(before):
                    score = min(1.0, score + _BESIDE)
                if score >= ENOUGH:
                    found.append(Finding(start + result.start, start + result.end, looker.kind, score))
        return found


def _looker(kind: Personal, recognizer: EntityRecognizer) -> _Looker:
    words = [fold(word).shadow for word in recognizer.context or ()]
    beside = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.IGNORECASE) if words else None
    return _Looker(kind, recognizer, beside)


def _readings(text: str) -> list[Reading]:
    """The folded text, underscores kept; and again with what was spoken written as digits and signs."""
    folded = fold(text.replace("_", "~"), fillers=True)
    shadow = folded.shadow.replace("~", "_")
    readings: list[Reading] = [(shadow, folded.original)]
    spoken = sorted([*_SPOKEN_RUN.finditer(shadow), *_SPOKEN_ADDRESS.finditer(shadow)], key=lambda match: match.start())
    for match in spoken:
        start, end = match.span()
        whole = folded.original(start, end)
        lead = shadow[max(0, start - _AROUND) : start]
        readings.append((lead + _written(match.group()), _whole(len(lead), whole)))
    return readings


def _whole(size: int, span: tuple[int, int]) -> Callable[[int, int], tuple[int, int]]:
    """What was found in words that were written anew is all of them; before them, nothing."""
    return lambda _start, end: span if end > size else (span[0], span[0])


def _written(spoken: str) -> str:
    signs = {"dot": ".", "point": ".", "underscore": "_", "dash": "-", "at": "@", "arobase": "@"}
    if re.search(r" (?:at|arobase) ", spoken, re.IGNORECASE):
        return "".join(signs.get(word.lower(), word) for word in spoken.split())
    return "".join(_SPOKEN.get(word.lower(), word) for word in re.split(r"[\s,.-]+", spoken))


def _stretches(shadow: str) -> list[tuple[int, int]]:
    """Where digits or at signs stand, with what stands round them."""
    stretches: list[tuple[int, int]] = []
    for match in _HINT.finditer(shadow):
        start, end = max(0, match.start() - 2 * _AROUND), min(len(shadow), match.end() + _AROUND)
        if stretches and start <= stretches[-1][1]:
            stretches[-1] = stretches[-1][0], end
        else:
            stretches.append((start, end))
    return [(_to_space(shadow, start, -1), _to_space(shadow, end, 1)) for start, end in stretches]


def _to_space(shadow: str, at: int, step: int) -> int:
    """The nearest space outwards, so that no value is cut."""
    while 0 < at < len(shadow) and not shadow[at - 1 if step < 0 else at].isspace():
        at += step
    return at


def _apart(found: Sequence[Finding]) -> list[Finding]:
    kept: list[Finding] = []
    for one in sorted(found, key=lambda one: (-one.score, one.start - one.end, -_RANK.get(Personal(one.category), 0))):
        if one.start < one.end and all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return sorted(kept)
