"""JSON whose key names a category: `{"religion": "Catholic"}` says so without a sentence. Which keys do is data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from gateway.categories import Category
from gateway.redaction.findings import Finding
from gateway.redaction.plain import Plain
from providers.text import Kind, Slot

FIELDS = "fields"
"""The stem of the file: `names:` by category, and under `nothing:` values that reveal nothing."""
_SCORE = 0.9
_LONGEST = 200
"""Characters: a longer value is prose, which the rules read."""


class Fields:
    """Finds values by the names of their keys.

    Args:
        mapping: what `config/recognizers/fields.yaml` holds; None finds nothing.
    """

    def __init__(self, mapping: Plain = None) -> None:
        self._names: dict[str, Category] = {}
        tree = mapping if isinstance(mapping, dict) else {}
        names = tree.get("names")
        for code, listed in names.items() if isinstance(names, dict) else ():
            for name in _listed(listed):
                self._names[_bare(name)] = Category(code)
        self._nothing = frozenset(map(_bare, _listed(tree.get("nothing"))))

    def find(self, slots: Sequence[Slot]) -> Mapping[int, Finding]:
        """By index into `slots`: the string right under a key that names a category, or in a list there."""
        found: dict[int, Finding] = {}
        if not self._names:
            return found
        for index, slot in enumerate(slots):
            category = self._names.get(_bare(slot.text)) if slot.kind is Kind.KEY and len(slot.text) < 64 else None
            if category is None:
                continue
            for at in _values(slots, index):
                text = slots[at].text
                if len(text) <= _LONGEST and _bare(text) not in self._nothing and any(map(str.isalnum, text)):
                    found[at] = Finding(0, len(text), category, _SCORE)
        return found


def _values(slots: Sequence[Slot], key: int) -> Iterable[int]:
    """The strings that stand right after a key: its value, or the items of a list that is its value."""
    named = slots[key]
    for at in range(key + 1, len(slots)):
        slot = slots[at]
        if slot.kind is not Kind.CONTENT:
            return
        if named.inside:
            beside = slot.path == named.path and slot.inside[:-1] == named.inside[:-1]
        else:
            item = slot.path[:-1] == named.path and isinstance(slot.path[-1], int)
            beside = not slot.inside and (slot.path == named.path or item)
        if not beside:
            return
        yield at


def _listed(value: Plain) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _bare(name: str) -> str:
    """A name as its words: `religiousBelief`, `Religious-Belief` and `religious_belief` are one."""
    return re.sub(r"[^a-z0-9]+", "", unicodedata.normalize("NFKD", name).lower())
