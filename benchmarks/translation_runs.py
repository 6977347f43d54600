"""Runs of translators between two domains, and the table of what they make of images.

The scores are those of the evaluation `translation`, on images of the test splits. FID and KID are
by the features of an encoder, which is trained first, on images of both domains, by SimCLR.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import statistics
from collections.abc import Collection, Sequence
from typing import Any

from benchmarks import runs
from ssljax.config import file as config_file

_WITHOUT = " without cycles"
_NO_CYCLES = {
    "cyclegan": ("--config.method.cycle_weight=0",),
    "discogan": ("--config.method.starting_rate=0", "--config.method.default_rate=0"),
}
"""Arguments that leave the way back out of the loss; of CycleGAN's the identity goes with it."""
TRIALS = (
    *(f"{method}/mnist{end}" for method in _NO_CYCLES for end in ("", _WITHOUT)),
    "cyclegan/orange_lemon",
    "pix2pix/mnist",
)
"""What is compared: the config of a translator, and whether its loss has no cycles."""
_ENCODER, _ENCODER_STEPS = "simclr/fashion_mnist", 300
_COLUMNS = {
    "pairing error": "pairing_error",
    "within 0.1": "pairing_within_",
    "same class": "class_accuracy",
    "classes": "classes_hit",
    "cycle error": "cycle_error",
    "FID": "fid_",
    "KID": "kid_",
}
"""Columns of the table, and how the names of their scores begin, after that of the translation."""


def config_of(trial: str) -> str:
    """The name of a trial's config."""
    return trial.removesuffix(_WITHOUT)


def make_encoders(asked: argparse.Namespace, trials: Sequence[str]) -> None:
    """Trains the encoders by whose features the trials' translations are compared."""
    configs = dict.fromkeys(map(config_of, trials))
    calls = [functools.partial(_make_encoder, asked, config) for config in configs]
    runs.side_by_side(calls, asked.jobs)


def train(
    asked: argparse.Namespace, trial: str, seed: int, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Trains a translator by its config, and scores its translations as `runs.run` tells."""
    config = config_of(trial)
    method = config.partition("/")[0]
    return runs.run(
        config,
        _place(asked, f"{trial}_{seed}"),
        f"--config.seed={seed}",
        f"--config.data.dir={asked.data_dir}",
        f"--config.evals.generator.extractor={_place(asked, f'encoder_{config}')}",
        "--config.evals.final=('translation',)",
        "--config.evals.baselines=True",
        *(_NO_CYCLES[method] if trial.endswith(_WITHOUT) else ()),
        cores=cores,
    )


def table(results: dict[str, list[dict]]) -> str:
    """Lays the results of translators out as Markdown.

    Args:
      results: By trial, the contents of `scores.json` of each seed, with "seconds".

    Returns:
      A row for each translation of each trial; a cell is of the trained translator / of images that
      are left as they are, empty where there is no such score.
    """
    lines = [
        "| translator | way | " + " | ".join(_COLUMNS) + " | seeds | minutes |",
        "|---|---|" + "---:|" * (len(_COLUMNS) + 2),
    ]
    for trial, found in results.items():
        minutes = statistics.mean(run["seconds"] for run in found) / 60
        names = found[0]["scores"]["trained translator"]
        for way in dict.fromkeys(name.partition("/")[0] for name in names):
            cells = [
                _cell(found, f"{way}/{start}", digits=1 if start == "classes_hit" else 3)
                for start in _COLUMNS.values()
            ]
            row = [trial, way.replace("_", " "), *cells, str(len(found)), f"{minutes:.1f}"]
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _cell(found: list[dict], start: str, digits: int) -> str:
    trained, identity = (
        [
            value
            for run in found
            for name, value in run["scores"][f"{row}"].items()
            if name.startswith(start) and not name.endswith("_std")
        ]
        for row in ("trained translator", "identity")
    )
    if not trained:
        return ""
    spread = f" ± {statistics.stdev(trained):.{digits}f}" if len(trained) > 1 else ""
    told = f"{statistics.mean(trained):.{digits}f}{spread}"
    return f"**{told}** / {statistics.mean(identity):.{digits}f}"


def _place(asked: argparse.Namespace, name: str) -> pathlib.Path:
    place: pathlib.Path = asked.out / "translation" / name.replace("/", "_").replace(" ", "_")
    return place


def _make_encoder(asked: argparse.Namespace, config: str, cores: Collection[int]) -> dict[str, Any]:
    """Trains an encoder on the images that a translator is trained on, as it reads them."""
    translator = config_file.load(config)
    keys, other = translator.data, translator.method.get("domain_b", {})
    split = "+".join(domain.split for domain in (keys, other) if domain)
    values = {
        "steps": _ENCODER_STEPS,
        "data.name": keys.name,
        "data.dir": asked.data_dir,
        "data.split": split,
        "data.image_size": keys.image_size,
        "data.channels": keys.channels,
        "data.resize": keys.resize,
        "method.view.size": keys.image_size,
        "method.view.mean": (0.5,) * keys.channels,
        "method.view.std": (0.25,) * keys.channels,
        "evals.final": "('knn',)",
        "evals.baselines": False,
        "evals.train_split": split,
        "evals.test_split": split.replace("train", "test"),
    }
    changes = [f"--config.{key}={value}" for key, value in values.items()]
    return runs.run(_ENCODER, _place(asked, f"encoder_{config}"), *changes, cores=cores)
