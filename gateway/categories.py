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
