"""Curves of scores, drawn in one way for all comparisons."""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Mapping, Sequence

import matplotlib


def curves(
    found: Mapping[str, Mapping[float | str, Sequence[float]]],
    path: pathlib.Path,
    x_label: str,
    y_label: str,
    log: bool = False,
) -> None:
    """Draws shares as per cent: a line through the means, with bars of one standard deviation.

    Args:
      found: By the name of the line and by place on the axis, a share for each seed.
      path: Of the picture.
      x_label: What the places are: numbers, or names in their order.
      y_label: What the shares are, without "(%)".
      log: Whether the places are told by their ratios.
    """
    matplotlib.use("agg")
    from matplotlib import pyplot  # After the choice of a backend without a display.

    figure, axes = pyplot.subplots(figsize=(6.5, 3.4), layout="constrained")
    for name, points in found.items():
        means = [100 * statistics.mean(values) for values in points.values()]
        spreads = [
            100 * statistics.stdev(values) if len(values) > 1 else 0.0 for values in points.values()
        ]
        axes.errorbar(list(points), means, spreads, fmt="o-", capsize=2, markersize=4, label=name)
    if log:
        axes.set_xscale("log")
    axes.set_xlabel(x_label)
    axes.set_ylabel(f"{y_label} (%)")
    figure.legend(fontsize="small", loc="outside right upper")  # It hides no line.
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def cell(values: Sequence[float], digits: int = 1) -> str:
    """Shares as per cent, for a table: the mean, with the standard deviation of several.

    Args:
      values: One a seed.
      digits: After the point.
    """
    spread = f" ± {100 * statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.{digits}f}{spread}"


def table(found: Mapping[str, Mapping[float | str, Sequence[float]]], corner: str) -> str:
    """Lays curves out as Markdown: a row a line, a column a place, per cent.

    Args:
      found: As for `curves`, all with the same places.
      corner: What stands above the rows' names.
    """
    places = list(next(iter(found.values())))
    names = [place if isinstance(place, str) else f"{place:g}" for place in places]
    lines = [f"| {corner} | " + " | ".join(names) + " |", "|---|" + "---:|" * len(places)]
    for name, points in found.items():
        cells = " | ".join(cell(points[place]) for place in places)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)
