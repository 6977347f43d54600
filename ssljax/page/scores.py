"""Scores as the rows and columns of tables."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ssljax.page.record import Record
from ssljax.page.settings import values
from ssljax.report import GENERATORS, TRANSLATORS
from ssljax.report.table import cell, figure, is_share

_STD = "_std"
_LEAST_STAGES = 2
Scores = Mapping[str, Mapping[str, float]]


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
      text: What it says.
      best: Whether it is the best of its kind.
    """

    text: str
    best: bool = False


class Table(NamedTuple):
    """A table.

    Attributes:
      caption: What it shows.
      columns: Names, that of the first column included.
      rows: Each with a name and its cells.
      texts: How many columns hold words, before those of numbers.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    texts: int = 1


class Layers(NamedTuple):
    """A score by layer.

    Attributes:
      score: Its name.
      stages: Of the network, in order.
      rows: In per cent, by network; NaN where there is none.
    """

    score: str
    stages: tuple[str, ...]
    rows: dict[str, list[float]]


def of(sheet: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The scores of a sheet, as far as they are numbers."""
    found: dict[str, dict[str, float]] = {}
    for row, by_name in sheet["scores"].items():
        if isinstance(by_name, dict):
            found[row] = {
                name: float(x)
                for name, x in by_name.items()
                if isinstance(x, int | float) and math.isfinite(x)
            }
    return {row: by_name for row, by_name in found.items() if by_name}


def tables(name: str, sheet: Mapping[str, Any]) -> list[Table]:
    """Lays a sheet out: networks in rows, and what is told of generators the other way round.

    Args:
      name: Of the file.
      sheet: What it holds.
    """
    scores = of(sheet)
    figures = {row for rows in (GENERATORS, TRANSLATORS) for row in rows}
    stage = str(sheet.get("stage") or "")
    stages = f", {'stages' if ',' in stage else 'stage'} {stage}" if stage else ""
    about = (
        f"Of the {sheet.get('network', 'network')}{stages}, at step {sheet.get('step', '?')}, on "
        f"{sheet.get('data', 'its data set')} ({name}.json)"
    )
    found = []
    if seen := {row: by_name for row, by_name in scores.items() if row not in figures}:
        rest = "" if all(map(is_share, _names(seen))) else "; errors and decibels are not"
        found.append(_table(f"{about}. In per cent{rest}.", seen))
    for rows in (GENERATORS, TRANSLATORS):
        if drawn := {row: scores[row] for row in rows if row in scores}:
            found.append(_turned(f"{about}.", drawn))
    return found


def layers(sheet: Mapping[str, Any]) -> list[Layers]:
    """The scores that are known of several layers, each as a chart's lines."""
    scores = of(sheet)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row, by_name in scores.items():
        for name, value in by_name.items():
            stage, slash, score = name.rpartition("/")
            if slash and not score.endswith(_STD) and is_share(score):
                found.setdefault(score, {}).setdefault(row, {})[stage] = 100 * value
    charts = []
    for score, by_row in found.items():
        stages = tuple(dict.fromkeys(stage for by_stage in by_row.values() for stage in by_stage))
        if len(stages) >= _LEAST_STAGES:
            rows = {row: [x.get(stage, math.nan) for stage in stages] for row, x in by_row.items()}
            charts.append(Layers(score, stages, rows))
    return charts


def higher_is_better(row: str, name: str) -> bool | None:
    """Whether a score is better the higher it is; None where that depends."""
    last = name.rpartition("/")[2]
    if last.endswith(_STD):
        return None
    if re.match(r"(fid|kid)(_|$)", last) or last.endswith("_error"):
        return False
    if re.search(r"(inception_score|precision|recall|density|coverage|psnr|accuracy)", last):
        return True
    return None if row in (*GENERATORS, *TRANSLATORS) else True


def over_seeds(groups: Sequence[Sequence[Record]], keys: Sequence[str]) -> Table | None:
    """One table of several runs: a row for each network of those that differ in the seed alone.

    Args:
      groups: Runs that differ in the seed alone stand together.
      keys: In which the others differ.

    Returns:
      Mean ± sample standard deviation over the runs of a group at the same step; None where nothing
      was scored. A sheet that is not complete is left out, as the page of its run tells.
    """
    found = []
    for group in _of_one_step(groups):
        named = ", ".join(record.name for record in group)
        shown = ", ".join(f"{key} {value}" for key, value in values(group[0], keys).items())
        sheets = [of(record.sheets["scores"]) for record in group]
        step = str(group[0].sheets["scores"].get("step", "?"))
        for row in dict.fromkeys(row for sheet in sheets for row in sheet):
            having = [sheet[row] for sheet in sheets if row in sheet]
            found.append((named, shown, step, row, having))
    names = [
        name
        for name in _names({str(i): x for i, (*_, having) in enumerate(found) for x in having})
        if not name.endswith(_STD)
    ]
    if not names:
        return None
    rows = []
    for named, shown, step, row, having in found:
        cells = [Cell(shown or "—"), Cell(step), Cell(row), Cell(str(len(having)))]
        for name in names:
            cells.append(Cell(_mean(row, name, [x[name] for x in having if name in x])))
        rows.append((named, tuple(cells)))
    columns = ("runs", "what differs", "step", "network", "seeds", *names)
    caption = (
        "Means over runs that differ in the seed alone and were scored at the same step, ± their "
        "sample standard deviation; shares in per cent. Sheets that are not complete are left out."
    )
    return Table(caption, columns, tuple(rows), texts=4)


def _of_one_step(groups: Sequence[Sequence[Record]]) -> Iterable[list[Record]]:
    """The runs of each group that have a complete sheet, by the step at which they were scored."""
    for group in groups:
        by_step: dict[Any, list[Record]] = {}
        for record in group:
            sheet = record.sheets.get("scores")
            if sheet is not None and sheet.get("complete", True):
                by_step.setdefault(str(sheet.get("step")), []).append(record)
        yield from by_step.values()


def _mean(row: str, name: str, found: Sequence[float]) -> str:
    if not found:
        return ""
    scores = {name: statistics.fmean(found)}
    if len(found) > 1:
        scores[name + _STD] = statistics.stdev(found)
    return (figure if row in (*GENERATORS, *TRANSLATORS) else cell)(scores, name)


def _names(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for by_name in scores.values() for name in by_name))


def _best(scores: Scores, name: str) -> Iterable[str]:
    """The rows that are the best in a score."""
    having = {row: by_name[name] for row, by_name in scores.items() if name in by_name}
    better = higher_is_better(next(iter(having), ""), name)
    if better is None or len(having) < 2:
        return ()
    top = max(having.values()) if better else min(having.values())
    return [row for row, value in having.items() if value == top]


def _table(caption: str, scores: Scores) -> Table:
    names = [name for name in _names(scores) if not name.endswith(_STD)]
    best = {name: _best(scores, name) for name in names}
    rows = tuple(
        (row, tuple(Cell(cell(by_name, name), row in best[name]) for name in names))
        for row, by_name in scores.items()
    )
    return Table(caption, ("network", *names), rows)


def _turned(caption: str, scores: Scores) -> Table:
    names = [name for name in _names(scores) if not name.endswith(_STD)]
    # Real images are what generators are measured by, and win.
    rivals = {row: by_name for row, by_name in scores.items() if row != GENERATORS[0]}
    best = {name: _best(rivals, name) for name in names}
    rows = tuple(
        (name, tuple(Cell(figure(scores[row], name), row in best[name]) for row in scores))
        for name in names
    )
    return Table(caption, ("score", *scores), rows)
