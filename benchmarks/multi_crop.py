"""Measures what SwAV's small crops cost: its train step with two large crops, and with four more.

    python -m benchmarks.multi_crop --data_dir DIR [--data cifar10] [--batch_size 512]

Both are the config for CIFAR-10, a ResNet-18 on crops of 32 pixels; the small ones have 16. The two
steps run in turns, so that whatever else the machine does meets both. A small crop has a quarter of
a large one's pixels: (2 + 4 / 4) / 2 = 1.5 times the time is what the convolutions cost.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ssljax.config import file as config_file
from ssljax.methods.contract import TrainState
from ssljax.run.experiment import Experiment
from ssljax.train import compile_step

_LARGE, _SMALL, _SMALL_CROPS = 32, 16, 4


def multi_crop_config(small_crops: int) -> ConfigDict:
    """SwAV's config for CIFAR-10, with so many small crops beside the two large ones."""
    config = config_file.load("swav/cifar10")
    config.method.local_crops = small_crops
    config.method.local_view = config.method.view.copy_and_resolve_references()
    config.method.view.update(size=_LARGE, crop_scale=(0.14, 1.0))
    config.method.local_view.update(size=_SMALL, crop_scale=(0.05, 0.14))
    return config


def _experiment(small_crops: int, asked: argparse.Namespace) -> Experiment:
    """That run on the data that the command line names."""
    config = multi_crop_config(small_crops)
    config.batch_size, config.model.encoder.dtype = asked.batch_size, asked.dtype
    config.data.update(name=asked.data, dir=asked.data_dir, cache="none")
    return Experiment(config)


def make_step(experiment: Experiment, state: TrainState) -> Callable[[], float]:
    """Compiles a run's train step; each call takes one on fresh images and gives its seconds."""
    stream = experiment.stream()
    batches = stream.batches(0)
    lowered = compile_step(experiment, stream).lower(state, stream.constants, next(batches))
    compiled = lowered.compile()

    def step() -> float:
        nonlocal state
        batch = jax.block_until_ready(next(batches))
        start = time.perf_counter()
        state, metrics = compiled(state, stream.constants, batch)
        jax.block_until_ready((state, metrics))
        return time.perf_counter() - start

    step()  # The first call also allocates.
    return step


def compare(first: Callable[[], float], second: Callable[[], float], rounds: int) -> list[float]:
    """Medians of what two functions return, called in turns."""
    pairs = [(first(), second()) for _ in range(rounds)]
    return [statistics.median(times) for times in zip(*pairs, strict=True)]


def main() -> None:
    """Measures and prints both times and their ratio."""
    parser = argparse.ArgumentParser(description="The cost of SwAV's small crops.")
    parser.add_argument("--data", default="cifar10", help="TFDS name of the images")
    parser.add_argument("--data_dir", default="", help="TFDS directory; empty for TFDS_DATA_DIR")
    parser.add_argument("--batch_size", type=int, default=16, help="images in a batch")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=10, help="steps of each that are timed")
    asked = parser.parse_args()
    alone, more = (_experiment(crops, asked) for crops in (0, _SMALL_CROPS))
    state = alone.init()  # Of both: crops bring no parameters.
    first, second = (make_step(each, jax.tree.map(jnp.copy, state)) for each in (alone, more))
    two, six = compare(first, second, asked.rounds)
    device = jax.devices()[0].device_kind
    print(
        f"{datetime.date.today()}, {jax.device_count()} x {device}, {os.cpu_count()} cores, "
        f"ResNet-18 {asked.dtype}, batch {asked.batch_size}, median of {asked.rounds} steps: "
        f"2x{_LARGE} {two:.3f} s, 2x{_LARGE} + {_SMALL_CROPS}x{_SMALL} {six:.3f} s, "
        f"ratio {six / two:.2f}"
    )


if __name__ == "__main__":
    main()
