"""Why calls are made: each configured purpose under one of the six of the privacy policy, with its lawful basis.

A purpose is the caller's declaration: the gateway checks that it may be declared, and cannot see whether it is true.
Content leaves only to run the service or to keep it secure. Two kinds of purpose are refused whatever anybody signs:
reading emotions of people at work (Regulation (EU) 2024/1689, Art. 5(1)(f)) and training of models.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from gateway.errors import Code, Refused
from gateway.policy.forms import Form, Report
from gateway.policy.notices import Announced, check_notice

PolicyPurpose = Literal[
    "running_the_service",
    "security",
    "improving_the_service",
    "communication",
    "marketing",
    "legal_obligations",
]
"""The six purposes for which the company's privacy policy says that it processes personal data."""

CONTENT: Final[frozenset[PolicyPurpose]] = frozenset({"running_the_service", "security"})
"""The only ones under which content may leave."""

LawfulBasis = Literal[
    "consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"
]
"""GDPR Art. 6(1)(a) to (f)."""

DataClass = Literal["synthetic", "business", "personal"]
"""What the content may hold. Special categories are no choice: they are taken out."""

_EMOTION = re.compile(r"(?:^|[_-])(?:emotions?|emotional|moods?|affects?|feelings?)(?:[_-]|$)").search
_TRAINING = re.compile(
    r"(?:^|[_-])(?:train|training|finetun(?:e|ing)|fine[_-]?tun(?:e|ing)|distil(?:l|lation)?)(?:[_-]|$)"
).search


class PurposeForm(Form):
    """The keys of one purpose in `purposes:` of `config/gateway.yaml`."""

    policy: PolicyPurpose
    lawful_basis: LawfulBasis
    data: DataClass
    notice: Announced


@dataclass(frozen=True, slots=True)
class Purpose:
    """A purpose, ready to be asked.

    Attributes:
        id: what callers declare in `x-gateway-purpose`.
        form: what the file says.
    """

    id: str
    form: PurposeForm
    _effective: dict[int, datetime] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def may_carry_content(self) -> bool:
        """Whether content calls are made for it at all."""
        return self.form.policy in CONTENT

    def effective(self, days: int) -> datetime:
        """From when a tenant that was promised `days` of notice is served for it; worked out once."""
        known = self._effective.get(days)
        if known is None:
            known = self._effective[days] = self.form.notice.effective_for(days) or _NEVER
        return known

    def permit(self, now: datetime, days: int) -> None:
        """Let a call under it pass at `now`.

        Raises:
            Refused: `purpose_not_allowed`.
        """
        if not self.may_carry_content:
            raise Refused(
                Code.PURPOSE_NOT_ALLOWED, "content leaves only to run the service or to keep it secure", where=_HEADER
            )
        if now < self.effective(days):
            raise Refused(
                Code.PURPOSE_NOT_ALLOWED, "this purpose was announced and its notice has not run yet", where=_HEADER
            )


def check_purposes(purposes: Mapping[str, PurposeForm], days: int, report: Report) -> None:
    """Report every purpose that may never be, or whose notice is shorter than `days`."""
    for name, form in purposes.items():
        if _EMOTION(name):
            report(
                ("purposes", name), "inferring emotions of people at work is refused for good; there is no such grant"
            )
        if _TRAINING(name):
            report(
                ("purposes", name),
                "training of models is refused for good; for the training of people write coaching",
            )
        check_notice(form.notice, ("purposes", name, "notice"), days, report)


def ready(purposes: Mapping[str, PurposeForm]) -> dict[str, Purpose]:
    """The purposes by id."""
    return {name: Purpose(name, form) for name, form in purposes.items()}


def without_content(purposes: Collection[Purpose]) -> list[str]:
    """The ids under which no content call is made."""
    return sorted(purpose.id for purpose in purposes if not purpose.may_carry_content)


_HEADER = "x-gateway-purpose"
_NEVER = datetime.max.replace(tzinfo=UTC)
