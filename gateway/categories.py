"""The eight special categories of personal data (GDPR Art. 9(1)), by the codes of the contract."""

from __future__ import annotations

import enum


class Category(enum.StrEnum):
    """A special category. The value is what headers, metrics and configuration say."""

    RACIAL_ETHNIC_ORIGIN = "RACIAL_ETHNIC_ORIGIN"
    POLITICAL_OPINION = "POLITICAL_OPINION"
    RELIGION_BELIEF = "RELIGION_BELIEF"
    TRADE_UNION = "TRADE_UNION"
    GENETIC = "GENETIC"
    BIOMETRIC = "BIOMETRIC"
    HEALTH = "HEALTH"
    SEX_LIFE_ORIENTATION = "SEX_LIFE_ORIENTATION"


PLACEHOLDER = "[REDACTED]"
"""What a finding leaves as. A typed placeholder would tell the provider the category."""


class Scope(enum.StrEnum):
    """How much goes with a finding, from the least strict to the strictest."""

    SPAN = "span"
    """The words that reveal."""
    SENTENCE = "sentence"
    """The whole sentence round them."""
    REFUSE = "refuse"
    """The call: nothing leaves."""

    @property
    def rank(self) -> int:
        """How strict it is; a higher one takes more."""
        return tuple(Scope).index(self)
