"""What reading one request by its rules gathers, and how a value that does not fit travels up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from gateway.errors import Code, Rule
from gateway.exchange import Forced
from providers.document import Value

if TYPE_CHECKING:
    from gateway.policy.rules.verdicts import ForceBy


class Misfit(Exception):
    """A value that may not leave. `path` is innermost first until `where` reads it."""

    def __init__(self, code: Code, reason: str, rule: Rule) -> None:
        super().__init__(code.value)
        self.code = code
        self.reason = reason
        self.rule = rule
        self.path: list[str | int] = []

    def where(self) -> str:
        """The path as callers know it: `messages[0].content`, an unnamed key as `?N`."""
        out = ""
        for step in reversed(self.path):
            out += f"[{step}]" if isinstance(step, int) else f".{step}" if out else step
        return out


class Walk(Struct, eq=False):
    """What reading one request gathers, and what it may use.

    Attributes:
        granted: conditional verdicts that hold for this caller, purpose and tenant.
        approved: digest of a schema -> the approved document, or None where it is not approved.
        pseudonym: caller's identifier -> keyed hash that may stand in its place.
        used: the conditional verdicts that were needed, and how often.
        forced: what was set.
        unscanned: kind of inline content -> how many.
        models: every model name in the request, the call's own first.
        deferred: forces that depend on the routed model.
        watched: a list of the request, by identity.
        plain: so many of its first items were read, and nothing of the above gathered by them.
    """

    granted: frozenset[str]
    approved: Callable[[Value], Value]
    pseudonym: Callable[[str], str]
    used: dict[str, int] = {}
    forced: list[Forced] = []
    unscanned: dict[str, int] = {}
    models: list[str] = []
    deferred: list[tuple[ForceBy, Value]] = []
    watched: Value = None
    plain: int = 0

    def use(self, grant: str) -> None:
        """Note that a conditional verdict was needed."""
        self.used[grant] = self.used.get(grant, 0) + 1

    @property
    def gathered(self) -> int:
        """How much was gathered so far."""
        counted = sum(self.used.values()) + sum(self.unscanned.values())
        return counted + len(self.forced) + len(self.models) + len(self.deferred)


class Shape(Protocol):
    """What a value may be."""

    def read(self, value: Value, walk: Walk) -> Value:
        """The value that may leave.

        Raises:
            Misfit: it may not.
        """


class Dropped:
    """The field does not leave."""


DROPPED = Dropped()


class Verdict(Protocol):
    """Whether a named thing may be there."""

    @property
    def rule(self) -> Rule:
        """The rule and its source."""

    def read(self, value: Value, walk: Walk) -> Value | Dropped:
        """The value that leaves in its place.

        Raises:
            Misfit: the call may not leave with it.
        """
