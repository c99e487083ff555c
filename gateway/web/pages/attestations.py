"""Attestations and canaries: what was read back of each provider's own setting, and whether the controls were tried."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.audit.pages import Act
from gateway.policy.entries import Entry
from gateway.web.asking import Ask, Shown

ACTS = ("attestation", "canary")


def answer(ask: Ask) -> Shown:
    """The page."""
    acts = ask.view.acts(ACTS)
    entries = [
        {
            "id": entry.id,
            "read_back": entry.form.read_back,
            "state": entry.state(ask.now).value,
            "review": entry.form.review_by,
            "last": _last(ask, acts, entry),
        }
        for entry in ask.house.bundle.registry.entries.values()
    ]
    facts: dict[str, object] = {"entries": entries, "acts": acts}
    return Shown(
        "attestations.html", "Attestations and canaries", "every reading and trial that is recorded", len(acts), facts
    )


def _last(ask: Ask, acts: Sequence[Act], entry: Entry) -> Act | None:
    """The last reading of an entry: usually among the last acts of all, else however long ago it was."""
    recent = (act for act in acts if act.act == ACTS[0] and act.body.get("processor") == entry.id)
    found = next(recent, None)
    return ask.view.last_of(ACTS[0], entry.id) if found is None and entry.form.read_back is not None else found
