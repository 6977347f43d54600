"""Runs of pretext tasks on one data set, which several comparisons share.

A run is made once: whichever comparison comes first trains it, the others read its scores or score
its checkpoint anew.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Collection
from typing import Any

from benchmarks import plots, runs
from ssljax.methods import pretext, reconstruction
from ssljax.methods.protocols import PretextSolver

_COPIES = {"cifar10_jpeg75": ", a JPEG copy (quality 75) of CIFAR-10"}
STARTS_FROM = {"bownet": "rotation"}
"""Methods that need a trained network, and the method of the run that gives it."""
SUPERVISED = "supervised"
"""The method that learns the same encoder from all labels."""

NORMS = (
    "Whole images pass the norms of several tasks' network by statistics of whole images, and "
    "those of a single task's network by statistics of its inputs, such as tiles or patches."
)
"""What is to be known where layers of both are compared."""


def solvers() -> tuple[str, ...]:
    """Every method of the registries that answers questions of its own."""
    found = pretext.REGISTRY | reconstruction.REGISTRY
    return tuple(name for name, kind in found.items() if issubclass(kind, PretextSolver))


def parser(description: str, out: str) -> argparse.ArgumentParser:
    """That of `benchmarks.runs`, with the data set's name and the place of the shared runs."""
    made = runs.parser(description, out)
    made.set_defaults(config="cifar10:cpu")
    made.add_argument(
        "--data_name", default="", help="TFDS name of the images, if not the config's"
    )
    made.add_argument(
        "--runs",
        default="runs/evidence",
        type=lambda path: pathlib.Path(path).absolute(),
        help="where the runs of the methods are, or are made",
    )
    return made


def data_changes(asked: argparse.Namespace) -> list[str]:
    """The arguments that name the data."""
    name = [f"--config.data.name={asked.data_name}"] if asked.data_name else []
    return [f"--config.data.dir={asked.data_dir}", *name]


def data_of(asked: argparse.Namespace) -> str:
    """The configs and the data, as they stand above a table."""
    name = asked.data_name
    return asked.config + (f" on {name}{_COPIES.get(name, '')}" if name else "")


def workdir(asked: argparse.Namespace, method: str, seed: int) -> pathlib.Path:
    """Where a run of a method is."""
    found: pathlib.Path = asked.runs / asked.config.replace(":", "_") / f"{method}_{seed}"
    return found


def starts(asked: argparse.Namespace, method: str, seed: int) -> list[str]:
    """The argument that names the run that a method starts from, if it needs one."""
    if method not in STARTS_FROM:
        return []
    return [f"--config.init.workdir={workdir(asked, STARTS_FROM[method], seed)}"]


def train(
    asked: argparse.Namespace, method: str, seed: int, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Trains a method by its config, and probes every stage that the config names.

    What it starts from is trained first.

    Returns:
      What `runs.run` does. "linear_holdout", by which a stage may be chosen, is of images of train
      that the linear probe did not learn from.
    """
    if method in STARTS_FROM:
        train(asked, STARTS_FROM[method], seed, cores)
    return runs.run(
        f"{method}/{asked.config}",
        workdir(asked, method, seed),
        f"--config.seed={seed}",
        *data_changes(asked),
        "--config.evals.linear.holdout=True",
        "--config.evals.few_label.labels=(10.0,)",
        *starts(asked, method, seed),
        cores=cores,
    )


def own_scores(trials: list[dict]) -> str:
    """Each score of a task, or the accuracy of a classifier, trained / random network.

    Args:
      trials: What `runs.run` gives for each seed of a method.
    """
    guesses = trials[0]["scores"].get("chance") or {"classifier": None}
    told = []
    for name, guess in guesses.items():
        share = 0.01 if name.endswith("psnr") else 1.0  # A level in dB is no share.
        trained, random = (
            plots.cell([share * run["scores"][f"{network} network"][name] for run in trials])
            for network in ("trained", "random")
        )
        beside = "" if guess is None else f" ({100 * share * guess:.1f})"
        told.append(f"{name} **{trained}** / {random}{beside}")
    return "<br>".join(told)


def best_stage(scores: dict[str, float]) -> str:
    """The stage whose linear probe is best on held-out images of train.

    Args:
      scores: Of one network, at several stages.
    """
    held_out = _held_out(scores)
    return max(held_out, key=lambda stage: held_out[stage])


def last_stage(scores: dict[str, float]) -> str:
    """The last stage, for a network that knows the held-out images' labels."""
    return list(_held_out(scores))[-1]


def _held_out(scores: dict[str, float]) -> dict[str, float]:
    return {
        name.rpartition("/")[0]: value
        for name, value in scores.items()
        if name.endswith("/linear_holdout")
    }
