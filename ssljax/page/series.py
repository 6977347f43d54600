"""Which metrics stand in one chart, and what of a long one is drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ssljax.page.record import Series

_EVAL, _SCORES = "eval/", "Scores while training"
_BUCKETS = 200
_LINES = 6
"""Lines in a chart: as many as have colours and dashes of their own."""
_WIDE = 50.0
"""Ratio of the largest value to the smallest from which on an axis is logarithmic."""
_LEAST_WAIT = 0.05
_GAUGES = ("embedding_std", "effective_rank", "rankme", "assignment_entropy", "sample_entropy")

SECTIONS = {
    "Losses": re.compile(r"(^|_)loss($|_)"),
    _SCORES: re.compile(r"^$"),  # Those that begin with "eval/".
    "Collapse": re.compile("|".join((*_GAUGES, "collapsed", "spread"))),
    "Optimization": re.compile(r"(_rate|momentum|temperature|_decay|_norm)$"),
    "Speed": re.compile(r"^(images_per_second|waiting|mfu|step_seconds)$"),
    "Further metrics": re.compile(""),
}
"""Titles, and what the names of their metrics hold; the first that fits has a metric."""


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
      label: What it is called there.
      series: What it shows.
      style: The number of its colour and dash.
    """

    label: str
    series: Series
    style: int


class Chart(NamedTuple):
    """What is drawn in one chart.

    Attributes:
      title: What is measured.
      lines: At least one.
    """

    title: str
    lines: tuple[Line, ...]

    @property
    def is_logarithmic(self) -> bool:
        """Whether its values, all above 0, are of very different sizes."""
        if self.title.rpartition("/")[2] in ("images_per_second", "waiting", "learning_rate"):
            return False
        values = np.concatenate([line.series.values for line in self.lines])
        values = values[np.isfinite(values)]
        return bool(len(values) and values.min() > 0 and values.max() > _WIDE * values.min())

    @property
    def gaps(self) -> int:
        """How many values are not finite."""
        return sum(int(np.isnan(line.series.values).sum()) for line in self.lines)

    @property
    def told(self) -> str:
        """What the chart shows, in words."""
        return " ".join(_told(line) for line in self.lines)


def waiting(series: Mapping[str, Series]) -> Series | None:
    """Which share of a step's time is spent waiting for data; None where that is not known."""
    seconds, waited = series.get("step_seconds"), series.get("data_wait_seconds")
    if seconds is None or waited is None or not np.array_equal(seconds.steps, waited.steps):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        share = waited.values / seconds.values
    return Series(seconds.steps, np.where(np.isfinite(share), share, np.nan))


def shown(series: Mapping[str, Series]) -> dict[str, Series]:
    """The metrics that are drawn: seconds a step as speed, waiting as per cent of them."""
    found = {
        name: one
        for name, one in series.items()
        if name not in ("step_seconds", "data_wait_seconds") and not name.endswith("_std")
    }
    found |= {name: one for name, one in series.items() if name.endswith("embedding_std")}
    share = waiting(series)
    if share is None or not np.nanmax(share.values, initial=0.0) >= _LEAST_WAIT:
        return found
    return found | {"waiting": Series(share.steps, 100 * share.values)}


def section_of(name: str) -> str:
    """The title under which a metric is shown."""
    if name.startswith(_EVAL):
        return _SCORES
    last = name.rpartition("/")[2]
    return next(title for title, pattern in SECTIONS.items() if pattern.search(last))


def charts_of_one(series: Mapping[str, Series]) -> dict[str, list[Chart]]:
    """The charts of a run: metrics that differ in the player or stage alone stand in one.

    Args:
      series: By name.

    Returns:
      Charts by section; what never changes is left out.
    """
    drawn = {name: one for name, one in shown(series).items() if not is_constant(one)}
    together: dict[tuple[str, str], list[str]] = {}
    for name in drawn:
        together.setdefault((section_of(name), name.rpartition("/")[2]), []).append(name)
    found: dict[str, list[Chart]] = {title: [] for title in SECTIONS}
    for (section, last), names in together.items():
        title = names[0].removeprefix(_EVAL) if len(names) == 1 else last
        for first in range(0, len(names), _LINES):
            lines = tuple(
                Line(name.removeprefix(_EVAL).rpartition("/")[0], drawn[name], style)
                for style, name in enumerate(names[first : first + _LINES])
            )
            found[section].append(Chart(title, lines))
    return {section: charts for section, charts in found.items() if charts}


def charts_of_several(runs: Mapping[str, Mapping[str, Series]]) -> dict[str, list[Chart]]:
    """The charts of several runs: one for each metric, with a line for each run that has it.

    Args:
      runs: Metrics by name, by run; the style of a run has its number.
    """
    drawn = {run: shown(series) for run, series in runs.items()}
    found: dict[str, list[Chart]] = {title: [] for title in SECTIONS}
    for name in dict.fromkeys(name for series in drawn.values() for name in series):
        lines = tuple(
            Line(run, series[name], style)
            for style, (run, series) in enumerate(drawn.items())
            if name in series
        )
        if not all(is_constant(line.series) for line in lines):
            found[section_of(name)].append(Chart(name.removeprefix(_EVAL), lines))
    return {section: charts for section, charts in found.items() if charts}


def constants(series: Mapping[str, Series]) -> dict[str, float]:
    """The metrics that never change, but for those that were measured once."""
    return {
        name: float(one.values[0])
        for name, one in shown(series).items()
        if is_constant(one) and len(one.values) > 1 and np.isfinite(one.values[0])
    }


def is_constant(one: Series) -> bool:
    """Whether there is nothing to draw."""
    finite = one.values[np.isfinite(one.values)]
    if len(finite) < len(one.values) and len(finite) > 1:
        return False
    return len(finite) < 2 or bool(np.all(finite == finite[0]))


def thinned(one: Series, buckets: int = _BUCKETS) -> Series:
    """Keeps of a long metric the extremes of each of so many parts, in their order, and its gaps.

    Args:
      one: The metric.
      buckets: How many parts there are.
    """
    count = len(one.steps)
    if count <= 2 * buckets:
        return one
    kept: set[int] = {0, count - 1}
    for part in np.array_split(np.arange(count), buckets):
        values = one.values[part]
        finite = np.isfinite(values)
        if finite.any():
            kept |= {int(part[np.nanargmin(values)]), int(part[np.nanargmax(values)])}
        if not finite.all():
            kept.add(int(part[int(np.argmin(finite))]))
    order = np.array(sorted(kept))
    return Series(one.steps[order], one.values[order])


def _told(line: Line) -> str:
    steps, values = line.series
    finite = np.flatnonzero(np.isfinite(values))
    begin = f"{line.label}: " if line.label else ""
    if not len(finite):
        return f"{begin}no finite value."
    first, last = finite[0], finite[-1]
    lowest, highest = finite[np.argmin(values[finite])], finite[np.argmax(values[finite])]
    return (
        f"{begin}from {number(values[first])} at step {steps[first]:,} to {number(values[last])} "
        f"at step {steps[last]:,}; lowest {number(values[lowest])} at step {steps[lowest]:,}, "
        f"highest {number(values[highest])} at step {steps[highest]:,}."
    )


def number(value: float) -> str:
    """A number in three digits, as people read it."""
    if value != 0 and math.isfinite(value) and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def listed(words: Sequence[str]) -> str:
    """Words as a list within a sentence."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
