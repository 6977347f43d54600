"""Workdirs as runs of three kinds leave them, made without training."""

import json
import pathlib
from typing import Any

import numpy as np

from ssljax import config as configs
from ssljax import report

STEPS = 60
ODD = '<b>"bold" & co</b>'
"""A class that must not become part of the page's own text."""


def write(
    workdir: pathlib.Path, method: str, metrics: dict[str, Any], scores: dict[str, Any], **changes
) -> pathlib.Path:
    """Writes a workdir.

    Args:
      workdir: Where.
      method: Its method.
      metrics: Functions of the step, by name.
      scores: As in a sheet.
      changes: Values of the config, the dots of keys written as two underscores.
    """
    workdir.mkdir(parents=True)
    config = configs.flatten(configs.base_config(method))
    config |= {"data.name": "digits", "steps": STEPS}
    config |= {key.replace("__", "."): value for key, value in changes.items()}
    put(workdir / "config.json", config)
    environment = {
        "python": "3.11.7",
        "platform": "Linux",
        "versions": {"ssljax": "0.1.0", "jax": "0.10.0"},
        "processes": 1,
        "devices": ["cpu 0", "cpu 1"],
        "git": "0123abc-dirty",
    }
    put(workdir / "environment.json", environment)
    put(workdir / "task.json", {"total_steps": STEPS, "num_images": 1400})
    lines = [
        {"step": step} | {name: value(step) for name, value in metrics.items()}
        for step in range(5, STEPS + 1, 5)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (workdir / "metrics.jsonl").write_text(text)
    put(workdir / "scores.json", sheet(scores))
    return workdir


def sheet(scores: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A sheet of scores."""
    about = {"step": STEPS, "network": "online encoder", "stage": "features", "data": "digits"}
    notes = {"complete": True, "scores": scores, "errors": {}, "finished": {}}
    return about | notes | changes


def put(path: pathlib.Path, content: Any) -> None:
    """Writes JSON."""
    path.write_text(json.dumps(content))


def joint_embedding(workdir: pathlib.Path, **changes) -> pathlib.Path:
    """One player, gauges of collapse, neighbours, and a map with an odd name of a class."""
    rng = np.random.default_rng(0)
    scores = {
        "raw pixels": {"knn20": 0.95, "linear": 0.9, "labels_10": 0.8, "labels_10_std": 0.02},
        "random network": {"knn20": 0.91, "linear": 0.905, "labels_10": 0.7, "labels_10_std": 0.01},
        "trained network": {"knn20": 0.96, "linear": 0.94, "labels_10": 0.9, "labels_10_std": 0.01},
    }
    metrics = {
        "online/loss": lambda step: 6 / step**0.5,
        "online/learning_rate": lambda step: 0.001 * step,
        "online/grad_norm": lambda step: 1000.0 / step**3,
        "online/embedding_std": lambda step: 0.1 + 0.001 * step,
        "online/collapsed": lambda step: 0.0,
        "images_per_second": lambda step: 1000.0 + step,
        "step_seconds": lambda step: 0.25,
        "data_wait_seconds": lambda step: 0.001,
    }
    write(workdir, "simclr", metrics, scores, method__temperature=0.2, **changes)
    images = rng.integers(0, 255, (30, 8, 8, 1), dtype=np.uint8)
    points, labels = rng.normal(size=(30, 2)), np.arange(30) % 3
    pictures = {
        "neighbors_features": report.grid(images, 8),
        "embedding_map": report.map_picture(points, images, labels),
    }
    report.save_pictures(workdir / "pictures", STEPS, pictures)
    report.save_pictures(workdir / "pictures", 10, {"neighbors_features": images[0]})
    note = {
        "step": STEPS,
        "stage": "features",
        "data": "digits",
        "split": "test",
        "method": "tsne",
        "points": points.tolist(),
        "labels": labels.tolist(),
        "classes": ["$one$", ODD, "three"],
        "confusion": {"probe": "a kNN", "matrix": [[9, 1, 0], [3, 7, 0], [0, 0, 10]]},
    }
    report.save_notes(workdir / "pictures", STEPS, {"embedding_map": note})
    return workdir


def gan(workdir: pathlib.Path) -> pathlib.Path:
    """Two players, scores of a generator and pictures."""
    scores = {
        "held-out reals": {"fid": 2.0},
        "random generator": {"fid": 300.0},
        "trained generator": {"fid": 41.25},
    }
    metrics = {
        f"{player}/{name}": (lambda step, scale=scale: scale + np.sin(step))
        for scale, player in enumerate(("discriminator", "generator"))
        for name in ("loss", "rotation_loss")
    }
    write(workdir, "ssgan", metrics, scores)
    samples = np.random.default_rng(0).integers(0, 255, (64, 8, 8, 3), dtype=np.uint8)
    report.save_pictures(workdir / "pictures", STEPS, {"samples": report.grid(samples, 8)})
    return workdir


def pretext(workdir: pathlib.Path) -> pathlib.Path:
    """Scores of several layers, of the task itself, and a set that was scored later."""
    stages = {"stage1": 0.3, "stage2": 0.4, "stage3": 0.35}
    scores = {
        "raw pixels": {f"{stage}/knn20": 0.31 for stage in stages},
        "random network": {f"{stage}/knn20": 0.25 for stage in stages} | {"rotation_accuracy": 0.3},
        "trained network": {f"{stage}/knn20": value for stage, value in stages.items()}
        | {"rotation_accuracy": 0.7},
        "chance": {"rotation_accuracy": 0.25},
    }
    metrics = {"online/loss": lambda step: 1.4 - step / 100}
    write(workdir, "rotation", metrics, scores, evals__stages=list(stages))
    other = sheet({"trained network": {"knn20": 0.5}}, data="mnist")
    put(workdir / "scores-mnist-features-step60.json", other)
    return workdir


KINDS = {"simclr": joint_embedding, "ssgan": gan, "rotation": pretext}
