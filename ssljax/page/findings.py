"""What a reader should know of a run before its numbers, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ssljax.page import scores
from ssljax.page.record import Record, Series
from ssljax.page.series import listed, number, waiting
from ssljax.report import GENERATORS
from ssljax.report.table import is_share

_FLAG = "/collapsed"
_GAUGES = ("embedding_std", "effective_rank", "assignment_entropy", "sample_entropy")
_PATIENCE = 2
"""Logged steps in a row after which a flag of collapse is believed, as in the log of the run."""
_LONG_WAIT = 0.1
_NAMED = 4


def findings(record: Record) -> list[str]:
    """Sentences on a run: what went wrong with it, and what its scores do not show.

    Args:
      record: Of the run.
    """
    return [
        *_progress(record),
        *record.damages,
        *_collapses(record.series),
        *_not_finite(record.series),
        *_waits(record.series),
        *_skipped(record.series),
        *(sentence for name, sheet in record.sheets.items() for sentence in _scores(name, sheet)),
    ]


def _progress(record: Record) -> list[str]:
    total, step = record.total_steps, record.step
    if record.is_empty:
        return ["Nothing has been recorded in this workdir yet."]
    if not record.series:
        return ["There is no metrics.jsonl, or no line in it: no step was logged."]
    if total is None:
        return ["How many steps the run is to have is not known: there is no task.json."]
    if step < total:
        return [
            f"The run is unfinished: {step:,} of {total:,} steps were logged. It goes on still, or "
            "was stopped; the command that started it goes on from its last checkpoint."
        ]
    return []


def _collapses(series: Mapping[str, Series]) -> list[str]:
    found = []
    for name, flag in series.items():
        if not name.endswith(_FLAG):
            continue
        player = name.removesuffix(_FLAG)
        for start, stop in _stretches(flag.values == 1):
            if stop - start < _PATIENCE:
                continue
            first, last = int(flag.steps[start]), int(flag.steps[stop - 1])
            if stop == len(flag.values):
                gauges = [
                    f"{gauge} {number(one.values[-1])}"
                    for gauge in _GAUGES
                    if (one := series.get(f"{player}/{gauge}")) is not None
                ]
                at_end = f" ({listed(gauges)} at the end)" if gauges else ""
                found.append(
                    f"{player} has collapsed since step {first:,}{at_end}: all images have nearly "
                    "the same representation."
                )
            else:
                found.append(
                    f"{player} was collapsed from step {first:,} to step {last:,}, and is not any "
                    "more."
                )
    return found


def _stretches(holds: np.ndarray) -> list[tuple[int, int]]:
    """The stretches over which something holds: first place, and the one after the last."""
    edges = np.diff(np.pad(holds.astype(int), 1))
    return [
        (int(start), int(stop))
        for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    ]


def _not_finite(series: Mapping[str, Series]) -> list[str]:
    found: dict[int, list[str]] = {}
    counts: dict[str, int] = {}
    for name, one in series.items():
        gaps = np.isnan(one.values)
        if gaps.any():
            found.setdefault(int(one.steps[np.argmax(gaps)]), []).append(name)
            counts[name] = int(gaps.sum())
    return [
        f"{_some(names)} {'is' if len(names) == 1 else 'are'} not finite (NaN or infinite) from "
        f"step {step:,} on, at {max(counts[name] for name in names):,} of the logged steps."
        if max(counts[name] for name in names) > 1
        else f"{_some(names)} {'is' if len(names) == 1 else 'are'} not finite (NaN or infinite) at "
        f"step {step:,}."
        for step, names in sorted(found.items())
    ]


def _some(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return listed(names)
    return f"{', '.join(names[: _NAMED - 1])} and {len(names) - _NAMED + 1} others"


def wait_share(series: Mapping[str, Series]) -> float | None:
    """Which share of the time of the logged steps was spent waiting for data."""
    share = waiting(series)
    if share is None:
        return None
    seconds, known = series["step_seconds"].values, np.isfinite(share.values)
    weights = np.diff(share.steps, prepend=0)[known] * seconds[known]
    return float(np.average(share.values[known], weights=weights)) if weights.sum() > 0 else None


def _waits(series: Mapping[str, Series]) -> list[str]:
    share = wait_share(series)
    if share is None or share < _LONG_WAIT:
        return []
    return [
        f"Training waits for data {100 * share:.0f} % of the time: config.data.cache=device keeps "
        "a small set on the devices, config.data.threads and config.data.prefetch read ahead."
    ]


def _skipped(series: Mapping[str, Series]) -> list[str]:
    one = series.get("corrupt_images")
    if one is None or not np.isfinite(one.values[-1]):
        return []
    count = int(one.values[-1])
    images = "1 image" if count == 1 else f"{count:,} images"
    return [f"{images} could not be decoded, and others stood in for them: see the log for which."]


def _scores(name: str, sheet: Mapping[str, Any]) -> list[str]:
    found = []
    for row, by_name in _by_row(sheet.get("errors")):
        for missing, why in by_name.items():
            found.append(f"{missing} of the {row} is missing from {name}.json: {why}.")
    if sheet.get("complete") is False:
        found.append(f"{name}.json is not complete: the evaluation goes on still, or was stopped.")
    known = scores.of(sheet)
    for row, own in known.items():
        if not row.startswith("trained "):
            continue
        for baseline, theirs in known.items():
            if baseline in (row, GENERATORS[0]) or baseline.startswith("trained "):
                continue
            if lost := _lost(row, own, theirs):
                found.append(
                    f"The {row} does not beat {_article(baseline)} in {_some(lost)} ({name}.json)."
                )
    return found


def _by_row(errors: Any) -> list[tuple[str, dict[str, str]]]:
    if not isinstance(errors, dict):
        return []
    return [(row, by_name) for row, by_name in errors.items() if isinstance(by_name, dict)]


def _article(row: str) -> str:
    return row if row in ("chance", "raw pixels", "identity") else f"the {row}"


def _lost(row: str, own: Mapping[str, float], theirs: Mapping[str, float]) -> list[str]:
    """The scores in which a row is not better than another."""
    lost = []
    for name in own.keys() & theirs.keys():
        better = scores.higher_is_better(row, name)
        if better is None:
            continue
        if own[name] <= theirs[name] if better else own[name] >= theirs[name]:
            lost.append(name)
    order = list(own)
    unit = 100 if row == "trained network" else 1
    return [
        f"{name} ({unit * own[name]:.4g} against {unit * theirs[name]:.4g})"
        if is_share(name)
        else f"{name} ({own[name]:.4g} against {theirs[name]:.4g})"
        for name in sorted(lost, key=order.index)
    ]
