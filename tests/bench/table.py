"""The table that a run prints: figures beside one another, and what the gateway must and should reach."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.measures import Figures

OFF = "gateway, redaction off"
ON = "gateway"


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that one subject must reach, and one that it aims at."""

    measure: str
    row: str
    subject: str
    must: float
    aim: float
    at_most: bool = True

    def verdict(self, figure: float) -> str:
        """Aim reached, must reached, or missed."""
        within: Callable[[float, float], bool] = operator.le if self.at_most else operator.ge
        return "aim" if within(figure, self.aim) else "must" if within(figure, self.must) else "MISSED"


BARS = (
    Bar("rps-1k", "of bare", OFF, 0.60, 1.0, at_most=False),
    Bar("rps-1k", "of bare", ON, 0.40, 0.60, at_most=False),
    Bar("rps-50k", "of bare", OFF, 0.40, 0.60, at_most=False),
    Bar("rps-50k", "requests/s", ON, 250, 400, at_most=False),
    Bar("turn-50k", "of bare", ON, 0.25, 0.45, at_most=False),
    Bar("grown-50k", "of bare", ON, 0.25, 0.45, at_most=False),
    Bar("latency", "p50 ms over bare", ON, 2.5, 1.2),
    Bar("latency", "p99 ms over bare", ON, 12, 6),
    Bar("chunks", "chunks/s", OFF, 25_000, 45_000, at_most=False),
    Bar("chunks", "chunks/s", ON, 12_000, 25_000, at_most=False),
    Bar("delay", "p50 of bare", OFF, 1.5, 1.0),
    Bar("delay", "p99 of bare", OFF, 2.0, 1.25),
    Bar("streams", "KiB a stream", ON, 40, 25),
    Bar("streams", "open after 2 s", ON, 0, 0),
    Bar("streams", "none after s", ON, 2.0, 0.5),
    Bar("footprint", "idle MB", ON, 250, 180),
    Bar("footprint", "start s", ON, 4, 3),
    Bar("redaction", "real talk MB/s", ON, 15, 40, at_most=False),
    Bar("redaction", "50 KB p50 ms", ON, 4, 1.5),
    Bar("redaction", "50 KB p99 ms", ON, 8, 3),
    Bar("redaction", "hostile 50 KB ms", ON, 50, 10),
    Bar("redaction", "again + a turn, wall ms", ON, 0.5, 0.25),
)
"""With redaction on, answers are cleaned: a word that is not complete waits, so a chunk's delay is told and owes nothing."""

_TITLES = {
    "footprint": "idle, and start to ready",
    "rps-1k": "saturation, 1 KB",
    "rps-50k": "saturation, 50 KB, each text new where redaction is on",
    "turn-50k": "saturation, a conversation of 50 KB again and one new turn",
    "grown-50k": "saturation, a text of 50 KB again that has grown by a turn",
    "latency": "100 requests/s, 1 KB",
    "chunks": "32 streams flat out",
    "first": "one stream at a time, request to first token",
    "delay": "100 streams, 50 chunks/s each",
    "streams": "held streams, then all callers vanish",
    "redaction": "the redactor alone, one core's processor time",
}


def render(results: Mapping[str, Figures], names: Sequence[str]) -> str:
    """The whole table as text."""
    width = max(*map(len, names), 10)
    lines = [f"{'':24}" + "".join(f"{name:>{width + 2}}" for name in names) + "   must / aim"]
    for measure, figures in results.items():
        lines.append(_TITLES[measure])
        for row, by_subject in figures.rows.items():
            cells = "".join(f"{_number(by_subject.get(name)):>{width + 2}}" for name in names)
            lines.append(f"  {row:<22}{cells}   {_bars(measure, row, by_subject)}".rstrip())
        lines.extend(f"  {name} failed: {reason}" for name, reason in figures.failures.items())
    return "\n".join(lines) + "\n"


def missed(results: Mapping[str, Figures]) -> bool:
    """Whether a subject missed what it must reach, or failed."""
    if any(figures.failures for figures in results.values()):
        return True
    return any(
        bar.verdict(figure) == "MISSED"
        for bar in BARS
        if bar.measure in results
        and (figure := results[bar.measure].rows.get(bar.row, {}).get(bar.subject)) is not None
    )


def _bars(measure: str, row: str, by_subject: Mapping[str, float]) -> str:
    shown: list[str] = []
    for bar in BARS:
        if (bar.measure, bar.row) == (measure, row):
            sign = "<=" if bar.at_most else ">="
            verdict = f": {bar.verdict(by_subject[bar.subject])}" if bar.subject in by_subject else ""
            which = "off" if bar.subject == OFF else "on"
            shown.append(f"{which} {sign} {bar.must:g} / {bar.aim:g}{verdict}")
    return "; ".join(shown)


def _number(figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"
