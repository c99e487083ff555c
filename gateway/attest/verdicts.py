"""What was read of an entry's settings, and what that comes to: exactly the wanted word, or it is no pass.

An unknown word is drift (a vendor's list grows), a missing one is not known, and neither is a pass. A setting that
cannot be asked for (no answer, no permission, too many requests) is inconclusive: never a pass, and no alarm either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.audit.words import Said, Setting, Verdict, named

_ZERO: Final = frozenset({Said.ZERO, Said.ENHANCED_ZERO})
_UNKNOWN: Final = frozenset({Said.UNREACHABLE, Said.DENIED})
_WANTED: Final[Mapping[Setting, frozenset[Said]]] = {
    Setting.CODE_INTERPRETER: frozenset({Said.DISABLED}),
    Setting.FILE_SEARCH: frozenset({Said.DISABLED}),
    Setting.IMAGE_GENERATION: frozenset({Said.DISABLED}),
    Setting.MCP: frozenset({Said.DISABLED}),
    Setting.WEB_SEARCH: frozenset({Said.DISABLED}),
    Setting.EXTERNAL_STORAGE: frozenset({Said.ABSENT}),
    Setting.COVERED_MODEL: frozenset({Said.REFUSED}),
    Setting.ACCOUNT_RETENTION: frozenset({Said.NONE}),
    Setting.INVOCATION_LOGGING: frozenset({Said.ABSENT}),
    Setting.POLICY: frozenset({Said.ENABLED}),
    Setting.CONTENT_LOGGING: frozenset({Said.DISABLED}),
    Setting.CACHE: frozenset({Said.DISABLED}),
    Setting.STORED_BY_DEFAULT: frozenset({Said.ABSENT, Said.REFUSED}),
    Setting.STORED_IF_ASKED: frozenset({Said.ABSENT, Said.REFUSED}),
}
"""The words that pass. The project's and the organization's retention are judged together, below."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one entry's settings said at `at` (microseconds since 1970).

    `said` has every setting that the method reads; what could not be asked is `unreachable` or `denied`.
    """

    processor: str
    at: int
    said: Mapping[Setting, Said]

    @property
    def verdict(self) -> Verdict:
        """What it comes to."""
        return verdict(self.said)

    @property
    def wrong(self) -> list[Setting]:
        """The settings that do not read as they must, or are not known."""
        return [setting for setting in sorted(self.said) if _verdict(setting, self.said) is not Verdict.PASS]


def reading(processor: str, at: int, settings: Iterable[str], said: Mapping[str, str]) -> Reading:
    """A reading of words as a provider wrote them.

    Args:
        settings: what the method reads. One that `said` does not have was answered in a form that nobody knows.
    """
    words = {Setting(name): named(Said, said.get(name, Said.OTHER)) for name in settings}
    return Reading(processor, at, words)


def verdict(said: Mapping[Setting, Said]) -> Verdict:
    """A failure outweighs what is not known, and that a pass. Of nothing, nothing is known."""
    verdicts = {_verdict(setting, said) for setting in said}
    for each in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        if each in verdicts:
            return each
    return Verdict.PASS if verdicts else Verdict.INCONCLUSIVE


def _verdict(setting: Setting, said: Mapping[Setting, Said]) -> Verdict:
    word = said[setting]
    if setting is Setting.PROJECT_RETENTION and word is Said.ORGANIZATION_DEFAULT:
        word = said.get(Setting.ORGANIZATION_RETENTION, Said.UNREACHABLE)
        return _held(word, _ZERO)
    if setting is Setting.ORGANIZATION_RETENTION:
        # A project's own setting outweighs the organization's; where it has none, the line above looked at this.
        return Verdict.PASS if Setting.PROJECT_RETENTION in said else _held(word, _ZERO)
    return _held(word, _ZERO if setting is Setting.PROJECT_RETENTION else _WANTED.get(setting, frozenset()))


def _held(word: Said, wanted: frozenset[Said]) -> Verdict:
    if word in wanted:
        return Verdict.PASS
    return Verdict.INCONCLUSIVE if word in _UNKNOWN else Verdict.FAIL
