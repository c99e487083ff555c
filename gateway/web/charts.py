"""Charts as inline SVG: drawn with classes alone, so that the style sheet colours them and print does too.

Each comes with its title; the page puts a table with the same numbers beneath.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup, escape

from gateway.audit.pages import Bar
from gateway.audit.periods import DAY

_WIDTH, _HEIGHT, _FOOT, _HEAD, _LEFT = 960, 200, 26, 12, 48


@dataclass(frozen=True, slots=True)
class Span:
    """A horizontal bar over time: from `start` to `end` in microseconds, with its word and class of colour."""

    label: str
    start: int
    end: int
    kind: str


def when(instant: int, step: int) -> str:
    """An instant as a bar of that width (microseconds) names it."""
    at = datetime.fromtimestamp(instant // 1_000_000, UTC)
    if step < DAY:
        return f"{at:%H:%M}"
    return f"{at:%b %Y}" if step > 2 * DAY else f"{at.day} {at:%b}"


def timeline(bars: Sequence[Bar], title: str, *, redactions: bool = False) -> Markup:
    """Stacked bars: attempts, and refusals upon them; or redactions alone."""
    if not bars:
        return Markup()
    heights = [bar.redactions if redactions else bar.allowed + bar.refused for bar in bars]
    top = _round_up(max([*heights, 1]))
    plot = _HEIGHT - _FOOT - _HEAD
    width = (_WIDTH - _LEFT) / len(bars)
    gap = min(3.0, width * 0.2)
    parts: list[str] = []
    for share in (0.5, 1.0):
        y = _HEAD + plot * (1 - share)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="scale" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(round(top * share))}</text>'
        )
    for at, bar in enumerate(bars):
        x, wide = _LEFT + at * width + gap / 2, max(width - gap, 0.6)
        kinds = (("redacted", bar.redactions),) if redactions else (("allowed", bar.allowed), ("refused", bar.refused))
        y = float(_HEIGHT - _FOOT)
        for kind, count in kinds:
            high = plot * count / top
            if count:
                high = max(high, 1.5)
                y -= high
                parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"/>')
    step = bars[0].end - bars[0].start
    every = -(-len(bars) // 8)
    for at in range(0, len(bars), every):
        label = escape(when(bars[at].start, step))
        parts.append(f'<text class="axis" x="{_LEFT + at * width + 1:.1f}" y="{_HEIGHT - 8}">{label}</text>')
    base = _HEIGHT - _FOOT
    parts.append(f'<line class="base" x1="{_LEFT}" x2="{_WIDTH}" y1="{base}" y2="{base}"/>')
    return _svg(_HEIGHT, title, parts)


def spans(rows: Sequence[Span], since: int, until: int, now: int, title: str) -> Markup:
    """One line a span, and a line for today."""
    if not rows or since >= until:
        return Markup()
    line, top = 34, 20
    height = top + line * len(rows) + 6

    def x(instant: int) -> float:
        return max(0.0, min(1.0, (instant - since) / (until - since))) * _WIDTH

    parts: list[str] = []
    first, last = (datetime.fromtimestamp(at // 1_000_000, UTC).year for at in (since, until))
    for year in range(first, last + 1):
        at = x(round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1_000_000))
        if 0 < at < _WIDTH - 30:
            parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 4}" y2="{height}"/>')
            parts.append(f'<text class="axis" x="{at + 3:.1f}" y="12">{year}</text>')
    for number, row in enumerate(rows):
        y, left, right = top + number * line, x(row.start), x(row.end)
        parts.append(
            f'<rect class="span {row.kind}" x="{left:.1f}" y="{y + 15}" width="{max(right - left, 2):.1f}" '
            'height="11" rx="2"/>'
        )
        parts.append(
            f'<text class="label" x="{min(left, _WIDTH - 300) + 1:.1f}" y="{y + 11}">{escape(row.label)}</text>'
        )
    today = x(now)
    parts.append(f'<line class="today" x1="{today:.1f}" x2="{today:.1f}" y1="0" y2="{height}"/>')
    return _svg(height, title, parts)


def _svg(height: int, title: str, parts: Sequence[str]) -> Markup:
    inner = "".join(parts)
    return Markup(  # noqa: S704  # every text in it was escaped above
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">{inner}</svg>'
    )


def _round_up(value: int) -> int:
    step = 1
    while value > 10 * step:
        step *= 10
    return next(step * each for each in (1, 2, 4, 5, 8, 10) if step * each >= value)


def _short(value: int) -> str:
    return (
        f"{value / 1_000_000:g} M" if value >= 1_000_000 else f"{value / 1000:g} k" if value >= 10_000 else f"{value:,}"
    )
