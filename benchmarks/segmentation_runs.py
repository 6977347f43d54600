"""Runs of segmentation on CamVid's street scenes, and the tables of what they have learnt.

All networks have one thin encoder and see as many windows of one size. SimCLR learns it without
masks, from the images of train alone.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import statistics
from collections.abc import Collection, Sequence
from typing import Any

from benchmarks import plots, runs

CONFIG, ENCODER = "segment/camvid:cpu", "simclr/camvid"
LINEAR = "linear"
"""The trial that trains linear heads alone: on raw pixels, and on the encoder's maps."""
_COMMON = ("--config.steps=300", "--config.method.view.size=112")
_FEW = {"50 masks": "train[:50]", "10 masks": "train[:10]"}
HEADS = {
    "front end": ("--config.model.head.name=linear",),
    "front end and context": ("--config.model.head.name=context",),
    "large field of view": ("--config.model.head.rates=(6,)",),
    "pyramid": (),
}
"""On the dilated encoder: a linear head, the context module on it, one atrous rate, and four."""
STARTS = ("scratch", "SimCLR")
WITH_ALL_MASKS = (*HEADS, "pyramid from SimCLR")
TRIALS = (
    LINEAR,
    *WITH_ALL_MASKS,
    *(f"pyramid from {start} with {masks}" for masks in _FEW for start in STARTS),
)
"""Of 367 masks where nothing else is said."""
SCORES = {"mean IoU": "miou", "pixels": "pixel_accuracy", "classes": "class_accuracy"}


def changes(asked: argparse.Namespace, trial: str, seed: int) -> list[str]:
    """The arguments that make a trial of its config."""
    made = [f"--config.seed={seed}", f"--config.data.dir={asked.data_dir}"]
    if trial == LINEAR:
        return made
    name, _, masks = trial.partition(" with ")
    head, _, start = name.partition(" from ")
    made += [*_COMMON, *HEADS[head], f"--config.evals.baselines={trial == next(iter(HEADS))}"]
    if masks:
        made.append(f"--config.data.split={_FEW[masks]}")
    if start == "SimCLR":
        made.append(f"--config.init.workdir={place(asked, LINEAR, seed)}")
    return made


def place(asked: argparse.Namespace, trial: str, seed: int) -> pathlib.Path:
    """Where a run is."""
    found: pathlib.Path = asked.out / "segmentation" / f"{trial}_{seed}".replace(" ", "_")
    return found


def make_encoders(asked: argparse.Namespace, trials: Sequence[str]) -> None:
    """Trains SimCLR for every seed, if one of the trials starts from it."""
    if any(trial == LINEAR or "SimCLR" in trial for trial in trials):
        calls = [functools.partial(_make_encoder, asked, seed) for seed in range(asked.seeds)]
        runs.side_by_side(calls, asked.jobs)


def _make_encoder(
    asked: argparse.Namespace, seed: int, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Trains SimCLR, and linear heads on its maps, those of a random network, and raw pixels."""
    found = place(asked, LINEAR, seed)
    return runs.run(ENCODER, found, *changes(asked, LINEAR, seed), cores=cores)


def train(
    asked: argparse.Namespace, trial: str, seed: int, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Trains a trial, as `runs.run` tells; what SimCLR has learnt is there already.

    Returns:
      What `runs.run` does, of the test split; and "validation", the same of the validation split,
      where all masks are learnt from.
    """
    if trial == LINEAR:
        return _make_encoder(asked, seed, cores)
    found, keys = place(asked, trial, seed), changes(asked, trial, seed)
    made = runs.run(CONFIG, found, *keys, cores=cores)
    if trial not in WITH_ALL_MASKS:
        return made
    validated = runs.evaluate(
        CONFIG,
        found,
        "validation",
        *keys,
        "--config.evals.test_split=validation",
        "--config.evals.baselines=False",
        cores=cores,
    )
    return made | {"validation": validated["scores"]}


def best(results: dict[str, list[dict]]) -> str:
    """The trial of all masks with the highest mean IoU on the validation split.

    Args:
      results: By trial, what `train` gives for each seed.

    Returns:
      Its name; nothing where a trial of all masks is missing.
    """
    if not set(WITH_ALL_MASKS) <= set(results):
        return ""

    def mean(trial: str) -> float:
        found = (run["validation"]["trained network"]["miou"] for run in results[trial])
        return statistics.mean(found)

    return max(WITH_ALL_MASKS, key=mean)


def table(results: dict[str, list[dict]]) -> str:
    """Lays the results out as Markdown, in per cent.

    Args:
      results: By trial, what `train` gives for each seed.

    Returns:
      The linear heads by stage, each beside the raw pixels and the random network; and a row for
      each network that has learnt from masks.
    """
    parts = []
    if LINEAR in results:
        parts.append(_linear_table(results[LINEAR]))
    trained = {trial: made for trial, made in results.items() if trial != LINEAR}
    if trained:
        parts.append(_network_table(trained))
    return "\n\n".join(parts)


def _linear_table(made: list[dict]) -> str:
    first = made[0]["scores"]["trained network"]
    stages = dict.fromkeys(name.partition("/")[0] for name in first)
    cells = functools.partial(_cells, made, prefix="linear_")
    lines = [
        "| linear head on | " + " | ".join(SCORES) + " |",
        "|---|" + "---:|" * len(SCORES),
        f"| raw pixels | {' | '.join(cells('raw pixels', stage=next(iter(stages))))} |",
    ]
    for row, told in (("random network", "random encoder"), ("trained network", "SimCLR")):
        for stage in stages:
            lines.append(f"| {told}, {stage} | {' | '.join(cells(row, stage=stage))} |")
    return "\n".join(lines)


def _network_table(results: dict[str, list[dict]]) -> str:
    lines = [
        "| network | " + " | ".join(SCORES) + " | mean IoU on validation | seeds | minutes |",
        "|---|" + "---:|" * (len(SCORES) + 3),
    ]
    for made in results.values():
        if "random network" in made[0]["scores"]:
            lines.append(f"| random | {' | '.join(_cells(made, 'random network'))} | | | |")
    for trial, made in results.items():
        cells = _cells(made, "trained network")
        held = [run["validation"]["trained network"]["miou"] for run in made if "validation" in run]
        minutes = statistics.mean(run["seconds"] for run in made) / 60
        cells += [plots.cell(held) if held else "", str(len(made)), f"{minutes:.1f}"]
        lines.append(f"| {trial} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(made: list[dict], row: str, prefix: str = "", stage: str = "") -> list[str]:
    start = f"{stage}/{prefix}" if stage else prefix
    return [
        plots.cell([run["scores"][row][f"{start}{score}"] for run in made])
        for score in SCORES.values()
    ]
