"""Who looks: a role, and the scope below which nothing can be asked for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.audit.periods import DAY, EVER
from gateway.audit.scope import Scope
from gateway.audit.words import Role

_TENANT = frozenset({"overview", "calls", "denials", "agreements", "endpoints", "redactions", "integrity", "retention"})
_WHOLE = _TENANT | {"attestations", "configuration", "reports"}

MAY: Mapping[Role, frozenset[str]] = {
    Role.SECURITY: _WHOLE | {"access"},
    Role.PRIVACY_OFFICER: _WHOLE | {"access"},
    Role.TENANT_ADMIN: _TENANT | {"access"},
    Role.TENANT_AUDITOR: _TENANT,
    Role.EXTERNAL_AUDITOR: _WHOLE,
}
"""Which pages a role may open. What a page shows is the scope's business, not the role's."""

_ONLY_WHOLE = frozenset({"attestations", "configuration", "reports"})
"""Pages about the gateway as a whole: configurations name callers and tenants, and a pack holds everybody's records."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who signed in.

    Attributes:
        role: as what.
        scope: what may be seen.
        who: as the sign-in names them; for the access page alone.
        session: a random id (32 hex digits) that records may bear.
        form_token: what a form of this session carries.
    """

    role: Role
    scope: Scope
    who: str
    session: str
    form_token: str

    def may(self, page: str) -> bool:
        """Whether this page is open to them."""
        return page in MAY[self.role] and (self.scope.whole or page not in _ONLY_WHOLE)

    @property
    def words(self) -> str:
        """Role and scope in words: what stands below every page."""
        return f"{self.role.value.replace('_', ' ')}, {scope_words(self.scope)}"


def scope_words(scope: Scope) -> str:
    """A scope in words, always the same for the same scope."""
    whose = "every tenant" if scope.whole else f"tenants {', '.join(sorted(scope.tenants))}"
    if scope.first_day == 0 and scope.end_day >= EVER // DAY:
        return whose
    first, last = (datetime.fromtimestamp(day * 86_400, UTC) for day in (scope.first_day, scope.end_day - 1))
    return f"{whose}, {first:%Y-%m-%d} to {last:%Y-%m-%d}"
