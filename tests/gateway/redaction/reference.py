"""The scan done the slow and plain way: a few expressions of all that any rule names, over the whole text.

No words, no windows, no remembered answers. What ships must find what this finds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import re2

from gateway.redaction.automaton import MOST
from gateway.redaction.evidence import Around, Rule
from gateway.redaction.patterns import GAP, canonical
from gateway.redaction.plain import Plain
from gateway.redaction.reading import Draft, read_context
from gateway.redaction.rules import Compiled, ignore, linear_options

_WORD = re.compile(rb"\w+")
_SENTENCE = re.compile(rb"[.!?][\"')]*\s+(?=[A-Z])")
_BROKEN = re.compile(rb"\w{4}" + _SENTENCE.pattern)
_PARTS = 16
"""One expression of all is more than RE2 simplifies."""
_BEFORE = 120
_AFTER = 72


class Reference:
    """Compiled rules, asked all at once; and what `context.yaml` holds, for RE2 to read."""

    def __init__(self, compiled: Compiled, context: Plain) -> None:
        self._compiled = compiled
        draft = Draft(ignore)
        read_context(draft, context)
        self._sides = [re2.compile(side.source.encode("ascii"), linear_options()) for side in draft.sides]
        options = linear_options()
        options.max_mem = 2 << 30
        options.longest_match = True
        options.never_capture = True
        spelled = [_spelled(term) for term in sorted(compiled.terms)]
        patterns = [phrase for phrase in compiled.phrases if phrase.source]
        sources = [*spelled, *(phrase.source for phrase in patterns)]
        self._all = [
            re2.compile((r"\b(?:" + "|".join(sources[part::_PARTS]) + r")\b").encode("ascii"), options)
            for part in range(_PARTS)
        ]
        plain = linear_options()
        plain.max_mem = 512 << 20
        self._patterns = [(phrase.rule, re2.compile(phrase.source.encode("ascii"), plain)) for phrase in patterns]

    def scan(self, text: str) -> Iterator[tuple[int, int, Rule]]:
        """(start, end, rule) of each candidate that holds in a folded text."""
        cased = text.encode("ascii", "replace")
        lower = cased.lower()
        position = 0
        while position < len(lower):
            start, end = self._first(lower, position)
            if start < 0:
                return
            best = None
            while best is None and end > start:
                best = self._best(cased, lower[start:end], start)
                end = start if best else self._shorter(lower, start, end)
            if best is None:
                position = max(start + 1, re.compile(rb"[0-9a-z]*").match(lower, start).end())  # type: ignore[union-attr]
            elif best[2] is None:
                position = best[1]
            else:
                found = self._carried(cased, lower, start + 1, (best[0], best[1], best[2]))
                yield found
                position = max(found[1], start + 1)

    def _carried(
        self, cased: bytes, lower: bytes, position: int, found: tuple[int, int, Rule]
    ) -> tuple[int, int, Rule]:
        """A candidate up to where others of its category carry it that begin within it."""
        low, high, rule = found
        start, end = self._first(lower, position)
        while 0 <= start < high:
            while end > high:
                best = self._best(cased, lower[start:end], start, (high, rule)) if end <= low + MOST else None
                if best is not None:
                    high = best[1] if best[2] is not None else high
                    break
                end = self._shorter(lower, start, end)
            start, end = self._first(lower, start + 1)
        return low, high, rule

    def _first(self, lower: bytes, position: int) -> tuple[int, int]:
        """The longest of the matches that begin first; (-1, -1) if there is none."""
        spans = [match.span() for one in self._all if (match := one.search(lower, position)) is not None]
        return min(spans, key=lambda span: (span[0], -span[1]), default=(-1, -1))

    def _shorter(self, lower: bytes, start: int, end: int) -> int:
        """Where the next shorter match ends; `start` if there is none."""
        for word in reversed([match.end() for match in _WORD.finditer(lower, start, end) if match.end() < end]):
            ends = [match.end() for one in self._all if (match := one.match(lower[:word], start)) is not None]
            if ends:
                return int(max(ends))
        return start

    def _best(
        self, cased: bytes, piece: bytes, start: int, beyond: tuple[int, Rule] | None = None
    ) -> tuple[int, int, Rule | None] | None:
        if _BROKEN.search(cased, start, start + len(piece)):
            return None
        key = canonical(piece).decode()
        rules = self._compiled.terms.get(key, ())
        if None in rules or any(rule is None and pattern.fullmatch(piece) for rule, pattern in self._patterns):
            return start, start + len(piece), None
        found = [(start, start + len(piece), rule) for rule in rules if rule is not None]
        for rule, pattern in self._patterns:
            match = pattern.fullmatch(piece)
            if rule is not None and match is not None:
                low, high = match.span(1) if pattern.groups and match.span(1)[0] >= 0 else match.span()
                found.append((start + low, start + high, rule))
        if beyond is not None:
            found = [one for one in found if one[1] > beyond[0] and one[2].category is beyond[1].category]
        held = [one for one in found if self._holds(cased, *one)]
        return max(held, key=lambda one: one[2].score) if held else None

    def _holds(self, cased: bytes, start: int, end: int, rule: Rule) -> bool:
        if rule.cased and not cased[start : start + 1].isupper():
            return False
        before = cased[max(0, start - _BEFORE) : start].rpartition(b"\x00")[2]
        after = cased[end : end + _AFTER].partition(b"\x00")[0]
        return all(self._stands(need, before, after) for need in rule.needs) and not (
            rule.unless is not None and self._stands(rule.unless, before, _SENTENCE.split(after)[0])
        )

    def _stands(self, around: Around, before: bytes, after: bytes) -> bool:
        return any(
            self._sides[side].search(text) is not None
            for sides, text in ((around.before, before), (around.after, after))
            for side in sides
        )


def _spelled(term: str) -> str:
    """A term as RE2 reads it: any gap for a space, and gaps about a mark as they come."""
    parts = re.findall(r"[0-9a-z_]+| |.", term)
    gap = f"(?:{GAP})"
    return "".join(
        gap if part == " " else part if part.isalnum() else f"{gap}?{re2.escape(part)}{gap}?" for part in parts
    )
