"""Does a discriminator forget? One class against the rest, in turn, with rotations and without.

    python -m benchmarks.forgetting --data_dir DIR [--data NAME] [--seeds 1]

The same network meets the tasks of `configs/one_vs_rest` twice, with the rotation loss and without
it, in the same order on the same batches. On held-out images of the task that it is trained on, the
balanced accuracy is measured several times in each block: right after a change of task it tells
what is left of former rounds, and at the end of the block what is learnt in it. Writes
`forgetting.png`, `forgetting.json` and `forgetting.md`.

Reference: Chen et al., Self-Supervised GANs via Auxiliary Rotation Loss, 2019, section 3, figure 2.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from benchmarks import runs
from ssljax import config as configs
from ssljax import data
from ssljax.config import file as config_file
from ssljax.methods.contract import TrainState
from ssljax.methods.transfer.one_vs_rest import OneVsRest, balanced_accuracy
from ssljax.run.experiment import Experiment
from ssljax.train import compile_step

VARIANTS = {"with rotations": 1.0, "without": 0.0}
"""Weights of the rotation loss."""
EARLY = 0.1
"""Share of a block after which the first of its measurements is made; the others are even."""


def read_config(name: str, data_dir: str, weight: float, seed: int, images: str = "") -> ConfigDict:
    """The config of one run.

    Args:
      name: Of the config, such as `cifar10`, among those of `one_vs_rest`.
      data_dir: TFDS directory.
      weight: Of the rotation loss.
      seed: Of the run.
      images: TFDS name of the data set, if it is not the config's.
    """
    config = config_file.load(f"one_vs_rest/{name}")
    config.seed, config.data.dir, config.method.rotation_weight = seed, data_dir, weight
    config.data.name = images or config.data.name
    configs.check(config)
    return config


def measured_at(block: int) -> tuple[int, ...]:
    """Steps of a block, counted from 1, after which the accuracy is measured."""
    return tuple(dict.fromkeys(max(1, round(block * share)) for share in (EARLY, 1 / 3, 2 / 3, 1)))


def learn(config: ConfigDict, test_images: int) -> list[tuple[int, float]]:
    """Trains one network on all tasks.

    Args:
      config: Of the run.
      test_images: How many held-out images are used, the first of the test split.

    Returns:
      (train step, balanced accuracy on the task of that step), in order.
    """
    experiment = Experiment(config)
    method = experiment.method
    assert isinstance(method, OneVsRest)
    source = data.open_source(
        config.data.name, config.evals.test_split, data_dir=config.data.dir or None
    )
    source = data.with_classes(source, experiment.task.class_names, config.data.name)
    test = {name: jnp.asarray(x[:test_images]) for name, x in experiment.load(source).items()}

    @jax.jit
    def accuracy(state: TrainState, test: dict[str, Array], positive: int) -> Array:
        logits = method.features(state, test["image"])["score"][:, 0]
        return balanced_accuracy(logits, test["label"] == positive)

    stream = experiment.stream()
    state, step_function = experiment.start(), compile_step(experiment, stream)
    batches, curve = stream.batches(0), []
    for step in range(experiment.task.total_steps):
        state, _ = step_function(state, stream.constants, next(batches))
        if step % method.block + 1 in measured_at(method.block):
            curve.append((step + 1, float(accuracy(state, test, method.positive(step)))))
    batches.close()
    return curve


def by_round(
    curve: Sequence[tuple[int, float]], block: int, classes: int
) -> dict[str, list[float]]:
    """Mean accuracy over the tasks of each whole round.

    Args:
      curve: What `learn` returned.
      block: Train steps of a task.
      classes: Tasks of a round.

    Returns:
      "early", soon after each change of task, and "end", at the end of each block; a value a round.
    """
    places = {"early": measured_at(block)[0], "end": block}
    rounds = curve[-1][0] // (block * classes)
    return {
        name: [
            statistics.mean(
                accuracy
                for step, accuracy in curve
                if (step - 1) // (block * classes) == number and (step - 1) % block + 1 == place
            )
            for number in range(rounds)
        ]
        for name, place in places.items()
    }


def table(means: dict[str, list[dict[str, list[float]]]]) -> str:
    """Lays the rounds out as Markdown.

    Args:
      means: By variant, for each seed what `by_round` returned.

    Returns:
      A row a variant and place in the block, a column a round; per cent, mean over seeds.
    """
    first = next(iter(means.values()))[0]
    rounds = len(first["end"])
    lines = [
        "| | " + " | ".join(f"round {number + 1}" for number in range(rounds)) + " |",
        "|---|" + "---:|" * rounds,
    ]
    for variant, seeds in means.items():
        for place in first:
            values = zip(*(seed[place] for seed in seeds), strict=True)
            cells = [_cell([100 * value for value in column]) for column in values]
            lines.append(f"| {variant}, {place} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def plot(curves: dict[str, list[list[tuple[int, float]]]], round_steps: int, path: Any) -> None:
    """Draws the mean accuracy of each variant over train steps, with a line at each new round."""
    matplotlib.use("agg")
    from matplotlib import pyplot  # After the choice of a backend without a display.

    figure, axes = pyplot.subplots(figsize=(9, 3.2), layout="constrained")
    for variant, seeds in curves.items():
        steps = [step for step, _ in seeds[0]]
        accuracies = np.mean([[accuracy for _, accuracy in curve] for curve in seeds], axis=0)
        axes.plot(steps, 100 * accuracies, label=variant, linewidth=1)
    for start in range(round_steps, steps[-1], round_steps):
        axes.axvline(start, color="gray", linestyle="--", linewidth=0.8)
    axes.set_xlabel("train step")
    axes.set_ylabel("balanced accuracy (%)")
    axes.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Trains all, and writes curves, plot and table."""
    parser = runs.parser(__doc__, "runs/forgetting")
    parser.set_defaults(config="cifar10_cpu")
    parser.add_argument("--data", default="", help="TFDS name of the images, if not the config's")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each variant, from seed 0")
    parser.add_argument("--test", type=int, default=2000, help="held-out images of a measurement")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    curves: dict[str, list[list[tuple[int, float]]]] = {name: [] for name in VARIANTS}
    for seed in range(asked.seeds):
        for variant, weight in VARIANTS.items():
            config = read_config(asked.config, asked.data_dir, weight, seed, asked.data)
            curves[variant].append(learn(config, asked.test))
            (asked.out / "forgetting.json").write_text(json.dumps(curves, indent=2) + "\n")
    classes = Experiment(config).task.num_classes
    assert classes is not None
    block = config.method.block
    means = {
        variant: [by_round(curve, block, classes) for curve in seeds]
        for variant, seeds in curves.items()
    }
    plot(curves, block * classes, asked.out / "forgetting.png")
    text = (
        f"one_vs_rest/{asked.config} on {config.data.name}, {asked.seeds} seed(s), "
        f"{runs.circumstances()}: mean balanced accuracy of a round's tasks, "
        f"{measured_at(block)[0]} steps after each change (early) and after all {block} (end), "
        f"per cent.\n\n{table(means)}\n"
    )
    (asked.out / "forgetting.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
