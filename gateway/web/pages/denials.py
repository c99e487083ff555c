"""Denials: by reason, tenant and rule, each with the rule as the configuration of that moment had it."""

from __future__ import annotations

from dataclasses import replace

import orjson

from gateway.audit.pages import Line
from gateway.web.asking import Ask, Shown
from gateway.web.pages.calls import listing


def answer(ask: Ask) -> Shown:
    """The page."""
    asked = replace(ask, given={**ask.given, "decision": "refuse"})
    asked.given.pop("call", None)  # type: ignore[attr-defined]  # a dict, made above
    shown = listing(asked, "denials.html", "Denials", "/denials")
    lines: list[Line] = shown.facts["lines"]  # type: ignore[assignment]  # `listing` put them there
    facts = {
        **shown.facts,
        "rules": {line.call: _rule(ask, line) for line in lines},
        "mine": ask.viewer.may("configuration"),
    }
    return replace(shown, facts=facts)


def _rule(ask: Ask, line: Line) -> str | None:
    """The digest of the configuration that refused it."""
    text = ask.view.texts(line).begin
    return None if text is None else str(orjson.loads(text).get("configuration") or "") or None
