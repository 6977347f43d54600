"""Runs of a detector from scratch and from an encoder that has learnt without labels, and a table.

All have one config, and so the same network, images and steps. The encoder is trained first, by
SimCLR on photographs of 64 pixels, whose classes are not read.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import statistics
from collections.abc import Collection, Sequence
from typing import Any

from benchmarks import plots, runs
from ssljax.config import file as config_file

CONFIG = "detect/bccd:cpu"
FROZEN = ("--config.method.train_encoder=false",)
TRIALS: dict[str, tuple[str, ...]] = {
    "random": (),
    "simclr": (),
    "random:frozen": FROZEN,
    "simclr:frozen": FROZEN,
}
"""What the encoder starts as, and further arguments of its detector."""
_ENCODER, _IMAGES, _ENCODER_STEPS = "simclr/cifar10:cpu", "tiny_imagenet_100", 500
_COLUMNS = {
    "AP": "ap", "AP50": "ap50", "AP75": "ap75", "VOC 2012": "voc12", "VOC 2007": "voc07"
}  # fmt: skip


def starts_from_encoder(trial: str) -> bool:
    """Whether a trial's encoder is one that has learnt before."""
    return trial.startswith("simclr")


def make_encoders(asked: argparse.Namespace, trials: Sequence[str]) -> None:
    """Trains the encoder of every seed, if one of the trials starts from it."""
    if any(map(starts_from_encoder, trials)):
        calls = [functools.partial(make_encoder, asked, seed) for seed in range(asked.seeds)]
        runs.side_by_side(calls, asked.jobs)


def train(
    asked: argparse.Namespace, trial: str, seed: int, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Trains a detector, from the encoder of `make_encoders` or not, as `runs.run` tells."""
    start = []
    if starts_from_encoder(trial):
        start = [f"--config.init.workdir={_place(asked, f'encoder_{seed}')}"]
    return runs.run(
        CONFIG,
        _place(asked, f"{trial.replace(':', '_')}_{seed}"),
        f"--config.seed={seed}",
        f"--config.data.dir={asked.data_dir}",
        *start,
        *TRIALS[trial],
        cores=cores,
    )


def make_encoder(
    asked: argparse.Namespace, seed: int, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Trains the detector's encoder on photographs, of which crops have 32 pixels."""
    detector = config_file.load(CONFIG)
    encoder = detector.model.encoder
    values = {
        "seed": seed,
        "steps": _ENCODER_STEPS,
        "batch_size": 128,
        "data.name": _IMAGES,
        "data.dir": asked.data_dir,
        "data.image_size": 64,
        "method.temperature": 0.2,
        "method.view.mean": tuple(detector.method.view.mean),
        "method.view.std": tuple(detector.method.view.std),
        "model.encoder.name": encoder.name,
        "model.encoder.widths": tuple(encoder.widths),
        "model.encoder.convs_per_stage": encoder.convs_per_stage,
        "model.encoder.stem_stride": encoder.stem_stride,
        "evals.final": ("knn",),
        "evals.train_split": "train[:5000]",
        "evals.test_split": "validation[:2000]",
        "evals.baselines": False,
    }
    changes = [f"--config.{key}={value}" for key, value in values.items()]
    return runs.run(_ENCODER, _place(asked, f"encoder_{seed}"), *changes, cores=cores)


def table(results: dict[str, list[dict]]) -> str:
    """Lays the results of detectors out as Markdown.

    Args:
      results: By trial, the contents of `scores.json` of each seed, with "seconds".

    Returns:
      A row a trial, in per cent, and first one of the untrained network.
    """
    first = next(iter(results.values()))
    random = [run["scores"]["random network"] for run in first]
    lines = [
        "| encoder | " + " | ".join(_COLUMNS) + " | seeds | minutes |",
        "|---|" + "---:|" * (len(_COLUMNS) + 2),
        "| untrained network | "
        + " | ".join(plots.cell([scores[name] for scores in random]) for name in _COLUMNS.values())
        + " | | |",
    ]
    for trial, found in results.items():
        trained = [run["scores"]["trained network"] for run in found]
        cells = [plots.cell([scores[name] for scores in trained]) for name in _COLUMNS.values()]
        minutes = statistics.mean(run["seconds"] for run in found) / 60
        lines.append(f"| {trial} | {' | '.join(cells)} | {len(found)} | {minutes:.1f} |")
    return "\n".join(lines)


def _place(asked: argparse.Namespace, name: str) -> pathlib.Path:
    place: pathlib.Path = asked.out / "detection" / name
    return place
