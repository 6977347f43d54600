"""The scores of a state, written as they come."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from ssljax import paths
from ssljax.errors import MissingScores, StoppedError, first_line
from ssljax.report.table import figure_table, is_share, score_table

_log = logging.getLogger(__name__)

GENERATORS = ("held-out reals", "random generator", "trained generator")
TRANSLATORS = ("identity", "random translator", "trained translator")
_FIGURES = (GENERATORS, TRANSLATORS)
"""Rows whose scores are figures of images; those of all others are accuracies."""

_NOTES = ("complete", "scores", "errors")


class ScoreSheet:
    """Scores by network and by generator, and what became of those that could not be computed.

    Every score is in the files as soon as it is known, so that an interruption loses none. Scores
    that an earlier attempt at the same sheet has written stay until they are computed anew.

    Args:
      about: What the scores are of: "step", "network", "stage", "data" and "settings".
      path: Of the files, without ".json" and ".md"; None for a sheet that is not written.

    Attributes:
      scores: By network or generator, then by name.
      errors: By network or generator, a sentence for each evaluation that is missing.
      was_complete: Whether an earlier attempt at the same sheet left nothing to compute.
      finished: By network or generator, the evaluations that need not be made again: those of an
        earlier attempt that left something to compute.
    """

    def __init__(self, about: Mapping[str, Any], path: paths.Path | None = None) -> None:
        self._about = json.loads(json.dumps(about))
        self._path = path if jax.process_index() == 0 else None
        self.scores: dict[str, dict[str, float]] = {}
        self.errors: dict[str, dict[str, str]] = {}
        before = _read(self._path) if self._path else None
        self.finished: dict[str, list[str]] = {}
        self.was_complete = False
        if before is not None and _about(before) == self._about:
            self.scores = before["scores"]
            self.was_complete = before["complete"] and not before["errors"]
            if not self.was_complete:
                self.finished = before.get("finished", {})

    @contextlib.contextmanager
    def attempt(self, row: str, name: str) -> Iterator[None]:
        """Keeps an evaluation that fails from stopping those after it: the reason is noted.

        One that succeeds is noted as finished.

        With several processes a failure in one of them would leave the others waiting for it: there
        it ends the run.

        Args:
          row: The network or generator.
          name: The evaluation that the body makes.

        Raises:
          MissingScores: With several processes, if the body fails.
        """
        try:
            yield
        except StoppedError:  # Such as a lock that another process has taken.
            raise
        except Exception as error:
            told = first_line(error)
            sentence = f"{name} of the {row} cannot be computed: {told}"
            if jax.process_count() > 1:
                raise MissingScores(sentence) from error
            _log.error("%s", sentence)
            self.errors.setdefault(row, {})[name] = told
        else:
            self.finished.setdefault(row, []).append(name)
        self.write()

    def add(self, row: str, scores: Mapping[str, float]) -> None:
        """Adds scores, and writes what is known so far.

        Args:
          row: The network or generator.
          scores: By name.

        Raises:
          ValueError: If some are not finite, for which JSON has no numbers; the others are added.
        """
        finite = {name: value for name, value in scores.items() if math.isfinite(value)}
        if finite:
            self.scores.setdefault(row, {}).update(finite)
            self.write()
        if len(finite) < len(scores):
            rest = (f"{name} is {scores[name]}" for name in scores.keys() - finite.keys())
            raise ValueError(f"{', '.join(sorted(rest))}: a score must be a finite number.")

    def write(self, complete: bool = False) -> None:
        """Writes the files.

        Args:
          complete: Whether nothing more will come.
        """
        if self._path is None:
            return
        result = {
            **self._about,
            "complete": complete,
            "scores": self.scores,
            "errors": self.errors,
            "finished": self.finished,
        }
        for kind, text in ((".json", json.dumps(result, indent=2)), (".md", self.text())):
            paths.write(self._path.with_name(self._path.name + kind), text + "\n")

    def text(self) -> str:
        """What stands in the ".md" file: a caption, tables, and what is missing."""
        caption = (
            f"Read: {self._about['network']}, stage {self._about['stage']}, at step "
            f"{self._about['step']}. Scored on {self._about['data']}, in per cent."
        )
        figures = {row for rows in _FIGURES for row in rows}
        seen = {row: scores for row, scores in self.scores.items() if row not in figures}
        if not all(is_share(name) for scores in seen.values() for name in scores):
            caption += " Errors and decibels are not."
        parts = [caption, score_table(seen)] if seen else []
        for rows in _FIGURES:
            if drawn := {row: scores for row, scores in self.scores.items() if row in rows}:
                parts.append(figure_table(drawn))
        parts += [
            f"Missing: {name} of the {row}. {told}"
            for row, by_name in self.errors.items()
            for name, told in by_name.items()
        ]
        return "\n\n".join(parts)


def own_path(workdir: paths.Path, about: Mapping[str, Any]) -> paths.Path:
    """Where a run writes its scores: `scores`, unless complete ones of other settings are there.

    Args:
      workdir: That of the run.
      about: What the scores are of, as in `ScoreSheet`.
    """
    path = workdir / "scores"
    before = _read(path)
    whole = before is not None and before["complete"] and before.get("step") == about["step"]
    if before is not None and whole and _about(before) != json.loads(json.dumps(about)):
        return free_path(workdir, about)
    return path


def free_path(workdir: paths.Path, about: Mapping[str, Any]) -> paths.Path:
    """Where a checkpoint's scores are written beside those of the run, and never over others.

    Args:
      workdir: That of the run.
      about: What the scores are of, as in `ScoreSheet`.

    Returns:
      `scores-<set>-<stage>-step<step>` in the workdir, followed by "-2", "-3" and so on where that
      name is taken by scores of other settings.
    """
    words = (str(about["data"]), str(about["stage"]), f"step{about['step']}")
    plain = (re.sub(r"[^A-Za-z0-9_.+]+", "-", word).strip("-") for word in words)
    name = "-".join(["scores", *plain])
    wanted = json.loads(json.dumps(about))
    for number in itertools.count(1):
        path = workdir / (name if number == 1 else f"{name}-{number}")
        taken = path.with_name(path.name + ".json").exists()
        before = _read(path)
        if not taken or (before is not None and _about(before) == wanted):
            return path
    raise AssertionError("Numbers do not end.")


def _read(path: paths.Path) -> dict[str, Any] | None:
    """What a sheet has written; None if there is no such file, or it is not a sheet's."""
    try:
        found = json.loads(path.with_name(path.name + ".json").read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(found, dict) and found.keys() >= set(_NOTES)
    parts = [found["scores"], found["errors"], found.get("finished", {})] if whole else []
    return found if whole and all(isinstance(part, dict) for part in parts) else None


def _about(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in (*_NOTES, "finished")}
