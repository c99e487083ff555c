"""A wire's retention surface: what it may be asked, and what its answers may show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from gateway.errors import Code, Rule, UpstreamError
from gateway.policy.rules import Allow, Conditional, Constants, Misfit, Shape, Verdict, Walk
from providers.provider import Observation


@dataclass(frozen=True, slots=True)
class Surface:
    """What a wire may be asked, and what its answers may show.

    Attributes:
        wire: the wire's name.
        operations: operation name -> verdict over its whole body; absent means refused.
        refused_paths: "METHOD path" of the wire -> the rule that refuses it, for a helpful 404.
        headers: header -> constants with verdicts; a comma-separated list is judged item by item.
        query: query parameter -> verdict.
        answers: namespace -> name -> verdict (`event`, `item`, `block`, `part`, `delta`, `echo` ...).
        grants: names of the conditional verdicts, with their meaning.
        traits: trait -> the values a registry entry may give it.
        vocabulary: every field name that the surface knows; the only words a path may hold.
        shapes: the compiled shapes by name, for `check`, `try` and the drift alarm.
        forced: every name that a forced parameter can have in the header and the record.
        unscanned: every kind of inline content that can pass without a scan.
        traits_needed: operation -> traits that a model must have to be asked it.
        sources: source key -> (page, date read).
    """

    wire: str
    operations: Mapping[str, Verdict]
    refused_paths: Mapping[str, Rule]
    headers: Mapping[str, Constants]
    query: Mapping[str, Verdict]
    answers: Mapping[str, Mapping[str, Verdict]]
    grants: Mapping[str, str]
    traits: Mapping[str, frozenset[str]]
    vocabulary: frozenset[str]
    shapes: Mapping[str, Shape]
    forced: frozenset[str]
    unscanned: frozenset[str]
    traits_needed: Mapping[str, frozenset[str]]
    sources: Mapping[str, tuple[str, str]]

    def read_headers(self, headers: Mapping[str, str], walk: Walk) -> dict[str, str]:
        """The wire's own headers that leave, rebuilt from our constants.

        Raises:
            Misfit: a value is not named, not granted, or refused; the path is the header's name.
        """
        out: dict[str, str] = {}
        for name, constants in self.headers.items():
            value = headers.get(name)
            if value is None:
                continue
            try:
                kept = [constants.read(item.strip(), walk) for item in value.split(",") if item.strip()]
            except Misfit as misfit:
                misfit.path.append(name)
                raise
            if kept:
                out[name] = ",".join(cast("list[str]", kept))
        return out

    def check_answer(self, seen: Observation, granted: frozenset[str], served: frozenset[str]) -> None:
        """Hold an answer, or one event of it, against the surface.

        Raises:
            UpstreamError: `response_not_allowed`, naming the namespace but never the value.
        """
        if seen.event:
            self._check("event", seen.event, granted)
        for namespace, name in seen.kinds:
            self._check(namespace, name, granted)
        for echo in seen.echoes:
            self._check("echo", echo, granted)
        if seen.model is not None and seen.model not in served:
            raise UpstreamError(
                Code.RESPONSE_NOT_ALLOWED, "the answer names a model that the entry does not declare", where="model"
            )

    def refusal_of(self, method: str, path: str) -> Rule | None:
        """The rule that refuses a path of this wire, for a 404 that explains itself; None where no rule names it."""
        segments = path.split("/")
        for key, rule in self.refused_paths.items():
            verb, _space, template = key.partition(" ")
            steps = template.split("/")
            if verb != method or len(steps) != len(segments):
                continue
            if all(step == segment or step.startswith("{") for step, segment in zip(steps, segments, strict=True)):
                return rule
        return None

    def _check(self, namespace: str, name: str, granted: frozenset[str]) -> None:
        verdict = self.answers.get(namespace, {}).get(name)
        if isinstance(verdict, Allow) or (isinstance(verdict, Conditional) and verdict.grant in granted):
            return
        rule = None if verdict is None else verdict.rule
        reason = "the answer shows something that the surface does not allow"
        raise UpstreamError(Code.RESPONSE_NOT_ALLOWED, reason, where=namespace, rule=rule)
