"""Charts as SVG that stands within a page: text is text, and takes the page's colour."""

from __future__ import annotations

import html
import io
import itertools
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    ScalarFormatter,
)

from ssljax.page.series import Chart, number, thinned
from ssljax.report.embedding_map import COLORS

DASHES: tuple[Any, ...] = (
    "solid",
    (0, (5, 2)),
    (0, (1.2, 1.5)),
    (0, (7, 2, 1.5, 2)),
    (0, (3, 1.2, 1.2, 1.2, 1.2, 1.2)),
    (0, (10, 2.5)),
)
"""Lines differ in them and in colours, so that they do without colour."""
_INK = "#010203"
"""Stands for the colour of the page's text."""
_WIDTH, _HEIGHT = 4.3, 2.5
_TEXT = 9.0
_CHARACTER = 0.55
"""Width of a character, of the size of the text."""
_LONGEST = 22
_RESOLUTION = 72.0
_MARKERS = "osD^vPX<>*"
_POINT = 14.0
_PIXELS = "figure pixels"


def style(index: int) -> tuple[str, Any]:
    """Colour and dash of the line of a number; after six the dashes change beside the colours."""
    count = len(COLORS)
    return COLORS[index % count], DASHES[(index + index // count) % count]


def swatch(index: int) -> str:
    """A piece of a run's line, as SVG."""
    color, dash = style(index)
    parts = "" if isinstance(dash, str) else " ".join(f"{1.6 * part:g}" for part in dash[1])
    return (
        f'<svg class="swatch" viewBox="0 0 44 8" width="44" height="8" aria-hidden="true">'
        f'<line x1="0" y1="4" x2="44" y2="4" stroke="{color}" stroke-width="2.4" '
        f'stroke-dasharray="{parts}"/></svg>'
    )


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Text that fits beside a line."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


class Pencil:
    """Draws the charts of one page, whose parts have names that differ."""

    def __init__(self) -> None:
        self._count = itertools.count()

    def lines(self, chart: Chart) -> str:
        """Draws metrics over the steps, each line with its name at its end.

        Args:
          chart: What to draw.

        Returns:
          The SVG.
        """
        labels = [shortened(line.label) for line in chart.lines if line.label]
        margin = 0.12 + (
            0.12 + max(map(len, labels), default=0) * _CHARACTER * _TEXT / _RESOLUTION
            if len(chart.lines) > 1
            else 0.0
        )
        figure, axes = _figure(_WIDTH, _HEIGHT, right=margin)
        ends = []
        for line in chart.lines:
            color, dash = style(line.style)
            steps, values = thinned(line.series)
            axes.plot(steps, values, color=color, linestyle=dash, linewidth=1.6)
            alone = _alone(values)
            axes.plot(steps[alone], values[alone], "o", color=color, markersize=2.5)
            finite = np.flatnonzero(np.isfinite(values))
            if len(finite):
                last = finite[-1]
                ends.append((shortened(line.label), int(steps[last]), float(values[last]), color))
        if chart.is_logarithmic:
            _logarithmic(axes)
        else:
            axes.yaxis.set_major_locator(MaxNLocator(4))
            plain = ScalarFormatter(useOffset=False, useMathText=False)
            plain.set_scientific(False)  # A power above the axis would be cut off.
            axes.yaxis.set_major_formatter(plain)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.margins(x=0.02, y=0.08)
        axes.set_xlabel("step", loc="right")
        if len(chart.lines) > 1:
            _name_ends(axes, ends)
        return self._svg(figure, f"{chart.title}. {chart.told}")

    def layers(self, title: str, stages: Sequence[str], rows: dict[str, list[float]]) -> str:
        """Draws a score by layer, with a line for each network.

        Args:
          title: The score.
          stages: Names of layers, in order.
          rows: Values by network, one a layer, NaN where there is none.
        """
        longest = max(map(len, rows)) * _CHARACTER * _TEXT / _RESOLUTION
        low = 0.25 + 0.09 * max(map(len, stages))
        figure, axes = _figure(_WIDTH, _HEIGHT + low - 0.4, right=0.24 + longest, bottom=low)
        places, ends = np.arange(len(stages)), []
        for index, (row, values) in enumerate(rows.items()):
            color, dash = style(index)
            marker = _MARKERS[index % len(_MARKERS)]
            axes.plot(
                places, values, color=color, linestyle=dash, marker=marker, markersize=4,
                linewidth=1.6,
            )  # fmt: skip
            finite = np.flatnonzero(np.isfinite(values))
            if len(finite):
                ends.append((row, int(finite[-1]), values[int(finite[-1])], color))
        axes.set_xticks(places, [shortened(stage, 16) for stage in stages], parse_math=False)
        axes.tick_params(axis="x", rotation=35)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.05, y=0.1)
        _name_ends(axes, ends)
        told = "; ".join(
            f"{row}: "
            + ", ".join(f"{stage} {number(x)}" for stage, x in zip(stages, values, strict=True))
            for row, values in rows.items()
        )
        return self._svg(figure, f"{title} by layer, in per cent. {told}.")

    def scatter(
        self,
        points: Float[np.ndarray, "points 2"],
        labels: Int[np.ndarray, " points"],
        names: Sequence[str],
        told: str,
    ) -> str:
        """Draws a map of embeddings: colour and shape by class, each class named at its middle.

        Args:
          points: Places of images.
          labels: Their classes, -1 where there is none.
          names: Of the classes.
          told: What is shown, in words.
        """
        across, down = np.ptp(points, axis=0) if len(points) else (1.0, 1.0)
        height = 5.6 * min(max(down / max(across, 1e-12), 0.4), 0.9)
        figure, axes = _figure(5.6, height, left=0.05, right=0.05, bottom=0.05, top=0.05)
        axes.set_axis_off()
        axes.set_aspect("equal", "datalim")
        x, y = points.T
        without = labels < 0
        axes.scatter(
            x[without], y[without], _POINT, _INK, alpha=0.5, marker="o", linewidths=0
        )  # fmt: skip
        middles = []
        for label in np.unique(labels[~without]):
            here = labels == label
            own, color = points[here], COLORS[label % len(COLORS)]
            marker = _MARKERS[(label + label // len(COLORS)) % len(_MARKERS)]
            axes.scatter(x[here], y[here], _POINT, color, marker=marker, alpha=0.75, linewidths=0)
            # The image in whose surroundings most others of its class are.
            distances = np.linalg.norm(own[:, None] - own[None], axis=2)
            middles.append((own[np.argmin(np.median(distances, axis=1))], names[label]))
        if len(middles) <= 30:
            _name_middles(axes, middles)
        return self._svg(figure, told)

    def _svg(self, figure: Figure, told: str) -> str:
        file, salt = io.StringIO(), f"chart{next(self._count)}"
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
            FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})
        text = file.getvalue()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
        text = re.sub(r' id="[A-Za-z0-9.-]+_\d+"', "", text)
        text = re.sub(r"<[^>]*>", _rounded, text).replace(_INK, "currentColor")
        text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
        text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
        named = html.escape(told, quote=True)
        return text.replace("<svg", f'<svg role="img" aria-label="{named}"', 1).strip()


def _rounded(tag: re.Match[str]) -> str:
    """A tag with fewer digits in its numbers."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0])


def _figure(
    width: float,
    height: float,
    left: float = 0.62,
    right: float = 0.12,
    bottom: float = 0.42,
    top: float = 0.1,
) -> tuple[Figure, Axes]:
    """An empty chart, with sizes and margins in inches."""
    figure = Figure(figsize=(width, height), dpi=_RESOLUTION)
    figure.patch.set_alpha(0.0)
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    axes = figure.add_axes(box)
    axes.patch.set_alpha(0.0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_INK)
    axes.spines["bottom"].set_alpha(0.4)
    axes.grid(axis="y", color=_INK, alpha=0.13, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=_TEXT, labelcolor=_INK, which="both")
    axes.xaxis.label.set(color=_INK, size=_TEXT)
    return figure, axes


def _alone(values: Float[np.ndarray, " points"]) -> Int[np.ndarray, " alone"]:
    """Places of values between gaps, through which no line goes."""
    finite = np.pad(np.isfinite(values), 1)
    return np.flatnonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:])


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _name_ends(axes: Axes, ends: Sequence[tuple[str, float, float, str]]) -> None:
    """Writes the names of lines beside their ends, one below the other."""
    axes.get_ylim()  # Fits the limits to the lines.
    box = axes.get_window_extent()
    least = 1.3 * _TEXT
    heights = [float(axes.transData.transform((step, value))[1]) for _, step, value, _ in ends]
    order = sorted(range(len(ends)), key=lambda i: heights[i])
    placed = spread([heights[i] for i in order], least, box.y0, box.y1)
    for i, height in zip(order, placed, strict=True):
        name, _, _, color = ends[i]
        x0, x1 = box.x1 + 1, box.x1 + 8
        axes.annotate(
            "", (x0, heights[i]), (x1, height), xycoords=_PIXELS, textcoords=_PIXELS,
            arrowprops=dict(arrowstyle="-", color=color, linewidth=1.2, shrinkA=0, shrinkB=0),
            annotation_clip=False,
        )  # fmt: skip
        axes.annotate(
            name, (x1 + 2, height), xycoords=_PIXELS, va="center", color=_INK, size=_TEXT,
            annotation_clip=False, parse_math=False,
        )  # fmt: skip


def spread(heights: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Moves heights apart, as little as a pass up and one down do.

    Args:
      heights: In rising order.
      least: Between two of them.
      low: The lowest that may be.
      high: The highest that may be, where there is room for all.
    """
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + least if placed else low))
    limit = high
    for i in reversed(range(len(placed))):
        placed[i] = max(min(placed[i], limit), low + i * least)
        limit = placed[i] - least
    return placed


def _name_middles(axes: Axes, middles: Sequence[tuple[Any, str]]) -> None:
    """Writes the names of classes where they lie, and moves those apart that would overlap."""
    axes.autoscale_view()
    axes.apply_aspect()  # Only then is it known where points will be.
    taken: list[tuple[float, float, float]] = []
    for middle, name in sorted(middles, key=lambda one: -one[0][1]):
        text = shortened(name, 18)
        x, y = axes.transData.transform(middle)
        half = len(text) * _CHARACTER * 11 / 2
        while any(abs(x - a) < half + b and abs(y - c) < 14 for a, b, c in taken):
            y -= 3
        taken.append((x, half, y))
        axes.annotate(
            text, (x, y), xycoords=_PIXELS, ha="center", va="center", color=_INK, size=11,
            weight="bold", parse_math=False, annotation_clip=False,
        )  # fmt: skip
