"""Runs that ask what features are worth elsewhere: for several classes an image, on other sets.

Several classes: tiles of photographs of blood cells, see `benchmarks.blood_tiles`, which is run
first. SimCLR learns their images without labels; what it knows is read by support vector machines,
and by fine-tuning the whole network or its classifier alone, from all tiles or from those of twenty
photographs, beside the same network with random weights.

Other sets: an encoder of one data set is probed on several others, and on its own.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
from collections.abc import Collection, Mapping
from typing import Any

from benchmarks import plots, runs

STARTS = ("random", "simclr")
"""What fine-tuning starts from."""
PARTS = {"240 tiles": "train[:240]", "all tiles": "train+validation"}
DEPTHS = {"classifier": False, "whole network": True}
_TUNED, _PRETRAINED, _STAGE = "multi_label/bccd_tiles", "simclr/cifar10:cpu", "stage3"

SOURCES = {"simclr/fashion_mnist": ("knn", "linear"), "rotation/cifar10:cpu": ("knn",)}
"""Configs of the encoders that are probed on other sets, and by what.

A linear probe of raw pixels takes longer than all else where they have three channels.
"""
SETS = {
    "cifar10_jpeg75": ("train[:20%]", "test"),
    "fashion_mnist": ("train[:10000]", "test"),
    "mnist": ("train[:10000]", "test"),
    "tiny_imagenet_100": ("train[:20%]", "validation"),
}
_ONLY_NEIGHBORS = ("tiny_imagenet_100",)
"""Sets of so many classes that the same holds of one channel."""
_NETWORKS = ("raw pixels", "random network", "trained network")


def tune(
    asked: argparse.Namespace, start: str, seed: int, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Fine-tunes from one start, to every depth and from every part of the tiles.

    Returns:
      "scores": the mean average precision by part and depth, "chance", and "svm" by network;
      "seconds".
    """
    data = f"--config.data.dir={asked.data_dir}"
    encoder = _place(asked, f"encoder_{seed}")
    made, svm, init = [], {}, []
    if start == "simclr":
        pretrained = runs.run(_PRETRAINED, encoder, *_keys(seed, data), cores=cores)
        made.append(pretrained)
        svm = {name: pretrained["scores"][name]["svm_map"] for name in _NETWORKS}
        init = [f"--config.init.workdir={encoder}"]
    scores: dict[str, Any] = {"svm": svm}
    for part, split in PARTS.items():
        for depth, whole in DEPTHS.items():
            name = f"{start}_{part}_{depth}_{seed}".replace(" ", "_")
            result = runs.run(
                _TUNED,
                _place(asked, name),
                data,
                f"--config.seed={seed}",
                f"--config.data.split={split}",
                f"--config.method.train_encoder={whole}",
                *init,
                cores=cores,
            )
            made.append(result)
            scores[f"{part}, {depth}"] = result["scores"]["trained network"]["map"]
            scores["chance"] = result["scores"]["chance"]["map"]
    return {"scores": scores, "seconds": sum(one["seconds"] for one in made)}


def tuned_table(results: Mapping[str, list[dict[str, Any]]]) -> str:
    """Lays mean average precisions out as Markdown, a row for each start.

    Args:
      results: By start, what `tune` returns for each seed.
    """
    columns = [f"{part}, {depth}" for part in PARTS for depth in DEPTHS]
    lines = [
        f"| network | SVM of {_STAGE} | " + " | ".join(columns) + " | seeds |",
        "|---|" + "---:|" * (len(columns) + 2),
    ]
    (first, *_), empty = results.values(), " |" * len(columns)
    lines.append(f"| chance | {plots.cell([first[0]['scores']['chance']])} |{empty} |")
    machines = [run["scores"]["svm"] for run in results.get("simclr", ())]
    if machines:
        pixels = plots.cell([found["raw pixels"] for found in machines])
        lines.append(f"| raw pixels | {pixels} |{empty} |")
    network = {"random": "random network", "simclr": "trained network"}
    for start, trials in results.items():
        svm = plots.cell([found[network[start]] for found in machines]) if machines else ""
        cells = [plots.cell([run["scores"][column] for run in trials]) for column in columns]
        lines.append(f"| {start} | {svm} | {' | '.join(cells)} | {len(trials)} |")
    return "\n".join(lines)


def probe(
    asked: argparse.Namespace, source: str, seed: int, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Trains an encoder by its config, and probes it on every set.

    Returns:
      "scores": by network, "<set>/<score>"; "seconds".
    """
    workdir = _place(asked, f"{source}_{seed}")
    changes = [f"--config.seed={seed}", f"--config.data.dir={asked.data_dir}"]
    if asked.data_name and "cifar10" in source:
        changes.append(f"--config.data.name={asked.data_name}")
    # Scores of its own set come with the run; those below have more to do.
    alone = ("--config.evals.final=('knn',)", "--config.evals.baselines=False")
    made = [runs.run(source, workdir, *changes, *alone, cores=cores)]
    scores: dict[str, dict[str, float]] = {network: {} for network in _NETWORKS}
    for name, splits in SETS.items():
        probes = ("knn",) if name in _ONLY_NEIGHBORS else SOURCES[source]
        result = runs.evaluate(
            source,
            workdir,
            f"transfer_{name}",
            *changes,
            "--config.evals.final=('transfer',)",
            f"--config.evals.transfer.sets=({(name, *splits)},)",
            f"--config.evals.transfer.probes={probes}",
            "--config.evals.knn.neighbors=((20, 0.07),)",
            "--config.evals.linear.epochs=10",
            "--config.evals.stages=('features',)",
            cores=cores,
        )
        made.append(result)
        for network in _NETWORKS:
            scores[network] |= result["scores"][network]
    return {"scores": scores, "seconds": sum(one["seconds"] for one in made)}


def elsewhere_table(results: Mapping[str, list[dict[str, Any]]]) -> str:
    """Lays the scores on other sets out as Markdown, a row for each encoder.

    Args:
      results: By source, what `probe` returns for each seed.

    Returns:
      Per cent; a cell is of the trained network / the random network / raw pixels.
    """
    named = (name for made in results.values() for name in made[0]["scores"]["trained network"])
    columns = list(dict.fromkeys(named))
    lines = [
        "| encoder of | " + " | ".join(columns) + " | seeds | minutes |",
        "|---|" + "---:|" * (len(columns) + 2),
    ]
    for source, trials in results.items():
        cells = []
        for column in columns:
            if column not in trials[0]["scores"]["trained network"]:
                cells.append("")
                continue
            pixels, random, trained = (
                plots.cell([run["scores"][network][column] for run in trials])
                for network in _NETWORKS
            )
            cells.append(f"**{trained}** / {random} / {pixels}")
        minutes = statistics.mean(run["seconds"] for run in trials) / 60
        lines.append(f"| {source} | {' | '.join(cells)} | {len(trials)} | {minutes:.1f} |")
    return "\n".join(lines)


def _place(asked: argparse.Namespace, name: str) -> pathlib.Path:
    place: pathlib.Path = asked.out / "transfer" / name.replace("/", "_").replace(":", "_")
    return place


def _keys(seed: int, data: str) -> list[str]:
    """What SimCLR on the tiles has of its own: their size, and the encoder that is fine-tuned."""
    values = {
        "seed": seed,
        "data.name": "bccd_tiles",
        "data.split": "train+validation",
        "data.image_size": 32,
        "data.multi_label_key": "labels_no_difficult",
        "data.doubtful_key": "labels",
        "method.view.size": 32,
        "method.view.mean": (0.5,) * 3,
        "method.view.std": (0.25,) * 3,
        "method.view.gray_p": 0.0,  # Colour tells the kinds apart.
        "model.encoder.widths": (16, 32, 64),
        "model.encoder.convs_per_stage": 2,
        "batch_size": 128,
        "steps": 400,
        "evals.train_split": "train+validation",
        "evals.stages": (_STAGE,),
        "evals.final": ("svm",),
        "evals.svm.pool_values": 1024,
        "evals.svm.costs": (0.01, 0.1, 1.0),  # All of the benchmark's take ten times as long.
    }
    return [data, *(f"--config.{key}={value}" for key, value in values.items())]
