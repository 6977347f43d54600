"""What a run has left in its workdir, as far as it can be read."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ssljax import paths
from ssljax.errors import UserError, brief, is_refused

_METRICS, _CHANGES = "metrics.jsonl", "changes.jsonl"
_DOCUMENTS = ("config", "environment", "task", "data")
_MARKS = (
    *(f"{name}.json" for name in _DOCUMENTS),
    *(_METRICS, _CHANGES, "scores.json", "checkpoints", "pictures", "tensorboard", "lock.json"),
)
"""Names by which a workdir is told from any other directory."""


class Series(NamedTuple):
    """A metric over the steps at which it was written.

    Attributes:
      steps: Finished train steps, in order.
      values: NaN where a value was not finite.
    """

    steps: Int[np.ndarray, " points"]
    values: Float[np.ndarray, " points"]


class File(NamedTuple):
    """A file of a kind of which a run writes one after so many steps.

    Attributes:
      kind: Its name without the step.
      step: Finished train steps.
      path: Where it lies.
    """

    kind: str
    step: int
    path: paths.Path


@dataclasses.dataclass(frozen=True)
class Record:
    """What a run has left.

    Attributes:
      workdir: Its directory.
      name: What it is called.
      config: Values by dotted key; empty where there is no config.
      environment: Versions, devices, commit.
      task: What the method knows of its data.
      data: What the training set was made of.
      changes: What was changed as the run was resumed.
      series: Metrics by name.
      sheets: Sheets of scores by the name of the file, the run's own first.
      pictures: The newest of each kind.
      notes: What evaluations wrote beside their pictures as JSON, the newest of each kind.
      damages: A sentence for each file that could not be read.
    """

    workdir: paths.Path
    name: str
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    task: Mapping[str, Any]
    data: Mapping[str, Any]
    changes: tuple[Mapping[str, Any], ...]
    series: Mapping[str, Series]
    sheets: Mapping[str, Mapping[str, Any]]
    pictures: tuple[File, ...]
    notes: tuple[tuple[File, Mapping[str, Any]], ...]
    damages: tuple[str, ...]

    @property
    def step(self) -> int:
        """Train steps that are finished, as far as was logged."""
        return max((int(one.steps[-1]) for one in self.series.values()), default=0)

    @property
    def total_steps(self) -> int | None:
        """Train steps of the whole run; None if that is not known."""
        total = self.task.get("total_steps")
        return total if isinstance(total, int) else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all has been recorded."""
        return not (self.config or self.series or self.sheets or self.pictures or self.damages)


def read(workdir: paths.Path, name: str) -> Record:
    """Reads a workdir; what is not there is empty.

    Args:
      workdir: That of a run, on a disk or in a bucket; an empty directory stands for a run that has
        recorded nothing yet.
      name: What the run is called.

    Raises:
      UserError: If it is no workdir.
    """
    names = paths.children(workdir)
    if not names and (paths.is_remote(workdir) or not workdir.is_dir()):
        raise UserError(f"There is no directory {workdir}: name the --workdir of a run.")
    if names and not any(mark in names for mark in _MARKS):
        raise UserError(
            f"{workdir} is not the --workdir of a run: it holds neither config.json nor {_METRICS} "
            "nor checkpoints."
        )
    damages: list[str] = []
    documents = {kind: _document(workdir / f"{kind}.json", damages) for kind in _DOCUMENTS}
    sheets = {
        file.removesuffix(".json"): sheet
        for file in sorted(names, key=lambda file: (file != "scores.json", file))
        if re.fullmatch(r"scores(-.*)?\.json", file)
        if isinstance((sheet := _document(workdir / file, damages)).get("scores"), dict)
    }
    places = [
        workdir / folder
        for folder in ("pictures", "samples", *(f"{name}-pictures" for name in sheets))
        if folder in names
    ]
    notes = tuple(
        (file, note)
        for place in places
        for file in _newest(place, "json")
        if (note := _document(file.path, damages))
    )
    return Record(
        workdir=workdir,
        name=name,
        changes=tuple(_lines(workdir / _CHANGES, damages)),
        series=_series(_lines(workdir / _METRICS, damages)),
        sheets=sheets,
        pictures=(
            *(file for place in places for file in _newest(place, "png")),
            *_translations(workdir / "translated"),
        ),
        notes=notes,
        damages=tuple(damages),
        **documents,
    )


def _content(path: paths.Path, damages: list[str]) -> str:
    try:
        return paths.read(path).decode(errors="replace")
    except FileNotFoundError:
        return ""
    except Exception as error:
        if not is_refused(error):
            raise
        damages.append(f"{path.name} could not be read ({brief(error)}).")
        return ""


def _document(path: paths.Path, damages: list[str]) -> dict[str, Any]:
    text = _content(path, damages)
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    damages.append(f"{path.name} is damaged, and what it holds is not shown.")
    return {}


def _lines(path: paths.Path, damages: list[str]) -> list[dict[str, Any]]:
    found, lost = [], 0
    for line in _content(path, damages).splitlines():
        try:
            one = json.loads(line)
        except (ValueError, RecursionError):
            one = None
        if isinstance(one, dict) and _is_step(one.get("step")):
            found.append(one)
        elif line.strip():
            lost += 1
    if lost:
        what = "1 line of it is" if lost == 1 else f"{lost} lines of it are"
        damages.append(f"{path.name} is not whole: {what} left out, as after a crash.")
    return found


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 2**62


def _series(lines: list[dict[str, Any]]) -> dict[str, Series]:
    points: dict[str, dict[int, float]] = {}
    for line in lines:
        for name, value in line.items():
            if name == "step" or not (value is None or isinstance(value, int | float)):
                continue
            number = np.float64(np.nan if value is None else value)
            points.setdefault(name, {})[line["step"]] = number if np.isfinite(number) else np.nan
    series = {}
    for name, by_step in points.items():
        steps = sorted(by_step)
        values = np.array([by_step[step] for step in steps], np.float64)
        series[name] = Series(np.array(steps, np.int64), values)
    return series


def _newest(directory: paths.Path, ending: str) -> list[File]:
    """The newest file of each kind; of a folder of single images the grid of them alone."""
    newest: dict[str, File] = {}
    for name in paths.children(directory):
        match = re.fullmatch(rf"(.+)_(\d{{1,15}})\.{ending}", name)
        if match is None:
            continue
        kind, step = match[1], int(match[2])
        if directory.name == "samples":
            if kind != "grid":
                continue
            kind = "sampled"
        if kind not in newest or step > newest[kind].step:
            newest[kind] = File(kind, step, directory / name)
    return [newest[kind] for kind in sorted(newest)]


def _translations(directory: paths.Path) -> list[File]:
    """The grids that the newest step translated."""
    steps = [int(name) for name in paths.children(directory) if re.fullmatch(r"\d{1,15}", name)]
    if not steps:
        return []
    folder = directory / str(max(steps))
    names = [name for name in paths.children(folder) if name.endswith(".png")]
    return [File(name.removesuffix(".png"), max(steps), folder / name) for name in names]
