"""Measures what SwAV's small crops cost: its train step with two large crops, and with four more.

    python -m benchmarks.multi_crop --data_dir DIR [--data cifar10] [--batch_size 512]

Both are the config for CIFAR-10, a ResNet-18 on crops of 32 pixels; the small ones have 16. The two
steps run in turns, so that whatever else the machine does meets both. A small crop has a quarter of
a large one's pixels: (2 + 4 / 4) / 2 = 1.5 times the time is what the convolutions cost.
"""

from __future__ import annotations

import datetime
import os
import pathlib
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from absl import app, flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from ssljax.experiment import Experiment
from ssljax.methods.contract import TrainState
from ssljax.train import compile_step

_ROOT = pathlib.Path(__file__).parent.parent
_LARGE, _SMALL, _SMALL_CROPS = 32, 16, 4

_DATA = flags.DEFINE_string("data", "cifar10", "TFDS name of the images.")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "TFDS directory; empty for TFDS_DATA_DIR.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images in a batch.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Compute type.")
_ROUNDS = flags.DEFINE_integer("rounds", 10, "Steps of each that are timed.")


def multi_crop_config(small_crops: int) -> ConfigDict:
    """SwAV's config for CIFAR-10, with so many small crops beside the two large ones."""
    path = _ROOT / "configs" / "swav" / "cifar10.py"
    config = config_flags.ConfigFileFlagParser("config").parse(str(path))
    with config.unlocked():
        config.method.local_crops = small_crops
        config.method.local_view = config.method.view.copy_and_resolve_references()
        config.method.view.update(size=_LARGE, crop_scale=(0.14, 1.0))
        config.method.local_view.update(size=_SMALL, crop_scale=(0.05, 0.14))
    return config


def _experiment(small_crops: int) -> Experiment:
    """That run on the data that the command line names."""
    config = multi_crop_config(small_crops)
    config.batch_size, config.model.dtype = _BATCH_SIZE.value, _DTYPE.value
    config.data.update(name=_DATA.value, dir=_DATA_DIR.value, cache="none")
    return Experiment(config)


def make_step(experiment: Experiment, state: TrainState) -> Callable[[], float]:
    """Compiles a run's train step; each call takes one on fresh images and gives its seconds."""
    feed = experiment.feed()
    batches = feed.batches(0)
    lowered = compile_step(experiment, feed).lower(state, feed.constants, next(batches))
    compiled = lowered.compile()

    def step() -> float:
        nonlocal state
        batch = jax.block_until_ready(next(batches))
        start = time.perf_counter()
        state, metrics = compiled(state, feed.constants, batch)
        jax.block_until_ready((state, metrics))
        return time.perf_counter() - start

    step()  # The first call also allocates.
    return step


def compare(first: Callable[[], float], second: Callable[[], float], rounds: int) -> list[float]:
    """Medians of what two functions return, called in turns."""
    pairs = [(first(), second()) for _ in range(rounds)]
    return [statistics.median(times) for times in zip(*pairs, strict=True)]


def main(_: list[str]) -> None:
    """Measures and prints both times and their ratio."""
    alone, more = _experiment(0), _experiment(_SMALL_CROPS)
    state = alone.init()  # Of both: crops bring no parameters.
    first, second = (make_step(each, jax.tree.map(jnp.copy, state)) for each in (alone, more))
    two, six = compare(first, second, _ROUNDS.value)
    device = jax.devices()[0].device_kind
    print(
        f"{datetime.date.today()}, {jax.device_count()} x {device}, {os.cpu_count()} cores, "
        f"ResNet-18 {_DTYPE.value}, batch {_BATCH_SIZE.value}, median of {_ROUNDS.value} steps: "
        f"2x{_LARGE} {two:.3f} s, 2x{_LARGE} + {_SMALL_CROPS}x{_SMALL} {six:.3f} s, "
        f"ratio {six / two:.2f}"
    )


if __name__ == "__main__":
    app.run(main)
