"""Access: who viewed or exported what."""

from __future__ import annotations

from gateway.web.asking import Ask, Shown
from gateway.web.viewer import scope_words

ROWS = 100


def answer(ask: Ask) -> Shown:
    """The page. A tenant's admin sees the sessions of the same tenants, and no others."""
    scope = None if ask.viewer.scope.whole else scope_words(ask.viewer.scope)
    before = int(ask.given["page"]) if "page" in ask.given else 2**62
    looks = ask.house.book.looks(scope, before=before, most=ROWS + 1)
    further = len(looks) > ROWS
    looks = looks[:ROWS]
    facts: dict[str, object] = {"looks": looks, "older": looks[-1].id if further else None}
    words = "views and exports, newest first" + ("" if scope is None else f", by sessions of {scope}")
    return Shown("access.html", "Access", words, len(looks), facts, dict(ask.given))
