"""The dense CRF after a network of segmentation: its parameters, what it adds, and what is seen.

The weight of the kernel of places and colours, and both of its deviations, are those of a grid with
the highest mean IoU on some images of the validation split. The scores, before and after, are those
of the evaluation `segmentation` on the test split.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import plots, runs, segmentation_runs
from ssljax import config as configs
from ssljax import main, metrics, paths, report
from ssljax.evals import Run, masks, segmentation
from ssljax.evaluate import newest_state
from ssljax.ops import crf
from ssljax.ops.permutohedral import pad_lattice
from ssljax.run import pretrained
from ssljax.run.experiment import Experiment

POSITIONS, COLORS, WEIGHTS = (10.0, 30.0, 67.0), (3.0, 6.0, 12.0), (1.0, 2.0, 4.0)
"""The grid: DeepLab's values for Pascal VOC, whose images are twice as large, and others."""
_EVERY = 8
"""Of so many images of the validation split one chooses the parameters."""
_SLOTS = 1 << 15
_PICTURED, _QUALITY = 4, 82
_ITERATIONS = 10


class Choice(NamedTuple):
    """Parameters of the kernel of places and colours: see `ssljax.ops.crf.Kernel`."""

    position: float
    color: float
    weight: float


def opened(asked: argparse.Namespace, trial: str, seed: int, split: str) -> tuple[Run, Any]:
    """A run of `segmentation_runs`, to be scored on a split, and its newest state."""
    workdir = segmentation_runs.place(asked, trial, seed)
    keys = segmentation_runs.changes(asked, trial, seed)
    command = ["--workdir", str(workdir), "--config", segmentation_runs.CONFIG, *keys]
    config = main.parse(["ssljax", *command, f"--config.evals.test_split={split}"]).config
    configs.check(config)
    place = paths.resolve(str(workdir))
    experiment = Experiment(pretrained.resolve(config, place), pretrained.recorded(place))
    return Run(experiment), newest_state(experiment, place)


def refined(
    image: np.ndarray, probabilities: np.ndarray, choices: Sequence[Choice]
) -> Iterator[np.ndarray]:
    """The classes of an image's pixels by several choices; lattices are made once for all weights.

    Args:
      image: As bytes.
      probabilities: (height, width, classes).
      choices: Those of one position and colour follow one another.

    Yields:
      (height, width), for each choice.
    """
    smoothness, _ = crf.DEEPLAB
    unary = crf.unary_from_probabilities(jnp.asarray(probabilities, jnp.float32))
    flat = unary.reshape(-1, unary.shape[-1])
    for (position, color), group in itertools.groupby(choices, lambda choice: choice[:2]):
        kernels = (smoothness, crf.Kernel(position, color, 1.0))
        filters = [
            pad_lattice(each, -(-each.neighbors.shape[2] // _SLOTS) * _SLOTS)
            for each in crf.make_filters(image, kernels, "lattice")
        ]
        for choice in group:
            weights = [jnp.float32(smoothness.compatibility), jnp.float32(choice.weight)]
            yield np.asarray(_infer(flat, filters, weights)).reshape(image.shape[:2])


@jax.jit
def _infer(unary: jax.Array, filters: Any, weights: Any) -> jax.Array:
    kinds = ("symmetric",) * len(filters)
    return jnp.argmax(crf.mean_field(unary, filters, weights, kinds, _ITERATIONS), axis=1)


def grid(
    run: Run, state: Any, choices: Sequence[Choice]
) -> tuple[dict[str, float], dict[Choice, dict[str, float]]]:
    """Scores of every eighth image, by the network alone and by each choice after it."""
    classes = run.experiment.config.data.mask_classes
    alone = np.zeros((classes, classes), np.int64)
    counts = {choice: np.zeros_like(alone) for choice in choices}
    for number, found in enumerate(segmentation.segmented(run, state)):
        if number % _EVERY:
            continue
        (said,) = found.probabilities.values()
        alone += metrics.confusion_matrix(found.mask, said.argmax(axis=2), classes)
        after = refined(masks.image_of(run, found), said, choices)
        for choice, predicted in zip(choices, after, strict=True):
            counts[choice] += metrics.confusion_matrix(found.mask, predicted, classes)
    scores = {choice: metrics.segmentation_scores(matrix) for choice, matrix in counts.items()}
    return metrics.segmentation_scores(alone), scores


def overlays(run: Run, state: Any, choice: Choice) -> report.Picture:
    """Images spread over the split, each with its mask, the prediction, and that after the CRF."""
    classes, count = run.experiment.config.data.mask_classes, len(run.open(run.config.test_split))
    shown = set(np.linspace(0, count - 1, _PICTURED + 2).round().astype(int)[1:-1].tolist())
    cells: list[np.ndarray] = []
    for number, found in enumerate(segmentation.segmented(run, state)):
        if number not in shown:
            continue
        (said,) = found.probabilities.values()
        image = masks.image_of(run, found)
        (after,) = refined(image, said, [choice])
        laid = np.stack([found.mask, said.argmax(axis=2), after]).astype(np.int32)
        cells += [image, *report.overlaid(np.stack([image] * 3), laid, classes)]
    return report.grid(np.stack(cells), 4)


def write_jpeg(picture: report.Picture, path: pathlib.Path) -> None:
    """Writes a picture of red, green and blue as JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    done, encoded = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), options)
    assert done
    path.write_bytes(encoded.tobytes())


def refine(asked: argparse.Namespace, trial: str, seed: int = 0) -> str:
    """Chooses the parameters, scores the test split, and writes the overlays.

    Args:
      asked: The command line of `benchmarks.evidence`.
      trial: Of `segmentation_runs`, trained already.
      seed: Its seed.

    Returns:
      The tables as Markdown.
    """
    place = segmentation_runs.place(asked, trial, seed)
    kept, commit = place / "crf_grid.json", runs.commit()
    choices = [Choice(*values) for values in itertools.product(POSITIONS, COLORS, WEIGHTS)]
    found = json.loads(kept.read_text()) if kept.exists() else {}
    if found.get("commit") != commit or found.get("grid") != [list(choice) for choice in choices]:
        alone, scores = grid(*opened(asked, trial, seed, "validation"), choices)
        found = {
            "commit": commit,
            "grid": [list(choice) for choice in choices],
            "alone": float(alone["miou"]),
            "miou": [float(scores[choice]["miou"]) for choice in choices],
        }
        kept.write_text(json.dumps(found, indent=2) + "\n")
    chosen = choices[int(np.argmax(found["miou"]))]
    tested = runs.evaluate(
        segmentation_runs.CONFIG,
        place,
        "crf",
        *segmentation_runs.changes(asked, trial, seed),
        "--config.evals.baselines=False",
        "--config.evals.segmentation.refine=crf",
        *(f"--config.evals.segmentation.crf.{key}={x}" for key, x in chosen._asdict().items()),
    )
    picture = overlays(*opened(asked, trial, seed, "test"), chosen)
    write_jpeg(picture, asked.out / "segmentation_overlays.jpg")
    return "\n\n".join(
        [f"CRF after: {trial}.", grid_table(found), before_and_after(tested, chosen)]
    )


def grid_table(found: dict[str, Any]) -> str:
    """Mean IoU on the validation split, in per cent: a row for both deviations, a column a weight.

    Args:
      found: "alone", of the network; "grid", the choices; and "miou" of each of them.
    """
    by_choice = {Choice(*x): value for x, value in zip(found["grid"], found["miou"], strict=True)}
    weights = list(dict.fromkeys(choice.weight for choice in by_choice))
    lines = [
        "| places, colours | " + " | ".join(f"weight {weight:g}" for weight in weights) + " |",
        "|---|" + "---:|" * len(weights),
    ]
    for position, color in dict.fromkeys(choice[:2] for choice in by_choice):
        row = [plots.cell([by_choice[Choice(position, color, weight)]]) for weight in weights]
        lines.append(f"| {position:g}, {color:g} | {' | '.join(row)} |")
    return "\n".join([*lines, "", f"Without it: {plots.cell([found['alone']])}."])


def before_and_after(tested: dict[str, Any], chosen: Choice) -> str:
    """The scores on the test split, before and after, in per cent."""
    scores = tested["scores"]["trained network"]
    told = f"places {chosen.position:g}, colours {chosen.color:g}, weight {chosen.weight:g}"
    names = segmentation_runs.SCORES
    lines = ["| on test | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for row, prefix in (("the network", ""), (f"after the CRF ({told})", "crf/")):
        cells = [plots.cell([scores[f"{prefix}{name}"]]) for name in names.values()]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)
