"""Verdicts over a named thing: allow, conditional, refuse, force."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.errors import Code, Rule
from gateway.exchange import Forced
from gateway.policy.rules.values import freeze, same, spell
from gateway.policy.rules.walk import DROPPED, Dropped, Misfit, Shape, Walk
from providers.document import Document, Opaque, Value


@dataclass(frozen=True, slots=True)
class Allow:
    """May be there, in this shape. `null` is absence and passes."""

    rule: Rule
    shape: Shape

    def read(self, value: Value, walk: Walk) -> Value | Dropped:
        return None if value is None else self.shape.read(value, walk)


@dataclass(frozen=True, slots=True)
class Conditional:
    """May be there where an operator granted it by name to this caller and purpose."""

    rule: Rule
    grant: str
    shape: Shape
    code: Code

    def read(self, value: Value, walk: Walk) -> Value | Dropped:
        if value is None:
            return None
        if self.grant not in walk.granted:
            raise Misfit(self.code, f"this needs the grant {self.grant}, which is not given here", self.rule)
        kept = self.shape.read(value, walk)
        walk.use(self.grant)
        return kept


@dataclass(frozen=True, slots=True)
class Refuse:
    """May not be there, except as `null` or as one of the harmless values (`background: false`)."""

    rule: Rule
    code: Code
    harmless: tuple[Value, ...] = ()

    def read(self, value: Value, walk: Walk) -> Value | Dropped:
        if value is None or any(same(value, safe) for safe in self.harmless):
            return DROPPED
        raise Misfit(self.code, "this would leave data behind or send it elsewhere", self.rule)


@dataclass(frozen=True, slots=True)
class Force:
    """The gateway sets this.

    `value` is what leaves, or DROPPED, or `PSEUDONYM`. `contrary` says what an explicit other value
    meets: `refuse`, so that the caller learns, or `replace`. `set_when_absent` puts the value
    where the caller sent none. `tolerated` values pass as they are.
    """

    rule: Rule
    label: str
    value: Value | Dropped
    contrary: str = "refuse"
    set_when_absent: bool = True
    pseudonym: bool = False
    code: Code = Code.PARAMETER_RETAINS_DATA
    tolerated: tuple[Value, ...] = ()
    said: Forced = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "said", Forced(self.label, spell(self.value)))

    def read(self, value: Value, walk: Walk) -> Value | Dropped:
        if value is None:
            return self.when_absent(walk)
        if same(value, self.value):
            return self.value
        if any(same(value, one) for one in self.tolerated):
            return freeze(value)
        if self.pseudonym:
            if type(value) is not str:
                raise Misfit(Code.PARAMETER_UNKNOWN, "a string is expected here", self.rule)
            walk.forced.append(Forced(self.label, "pseudonym"))
            return Opaque(walk.pseudonym(value))
        if self.contrary == "refuse":
            raise Misfit(self.code, "another value would leave data behind", self.rule)
        return self._set(walk)

    def when_absent(self, walk: Walk) -> Value | Dropped:
        """What leaves where the caller sent nothing."""
        return self._set(walk) if self.set_when_absent and self.value is not DROPPED else DROPPED

    def _set(self, walk: Walk) -> Value | Dropped:
        walk.forced.append(self.said)
        return self.value


@dataclass(frozen=True, slots=True)
class ForceBy:
    """The gateway sets this by a trait of the routed model; settled after routing.

    With the grant `unless`, the caller's own value passes in `shape` instead.
    """

    rule: Rule
    field: str
    trait: str
    cases: Mapping[str, Value | Dropped]
    unless: str | None
    shape: Shape | None
    said: Mapping[str, Forced] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        said = {trait: Forced(self.field, spell(safe)) for trait, safe in self.cases.items()}
        object.__setattr__(self, "said", said)

    def read(self, value: Value, walk: Walk) -> Value | Dropped:
        if self.unless is not None and self.shape is not None and self.unless in walk.granted:
            walk.use(self.unless)
            return None if value is None else self.shape.read(value, walk)
        walk.deferred.append((self, value))
        return DROPPED

    def when_absent(self, walk: Walk) -> Value | Dropped:
        """Settled after routing, unless the grant lets the provider's default stand."""
        if self.unless is not None and self.unless in walk.granted:
            walk.use(self.unless)  # the default that stands is what was granted, and the answer shows it
            return DROPPED
        walk.deferred.append((self, None))
        return DROPPED

    def settle(self, value: Value, traits: Mapping[str, str], document: Document, forced: list[Forced]) -> None:
        """Put the value for this model into the document's top level.

        Raises:
            Misfit: the model has no such trait, or the caller sent a contrary value.
        """
        trait = traits.get(self.trait)
        if trait is None or trait not in self.cases:
            misfit = Misfit(Code.PARAMETER_RETAINS_DATA, "this model has no safe value for it on record", self.rule)
            misfit.path.append(self.field)
            raise misfit
        safe = self.cases[trait]
        if value is not None and not same(value, safe):
            misfit = Misfit(Code.PARAMETER_RETAINS_DATA, "another value would leave data behind", self.rule)
            misfit.path.append(self.field)
            raise misfit
        if safe is not DROPPED:
            document[self.field] = safe  # type: ignore[assignment]  # DROPPED was excluded
            if value is None:
                forced.append(self.said[trait])
