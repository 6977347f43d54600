"""Measures SimCLR's train step beside the same step in PyTorch, on one accelerator, in turns.

    python -m benchmarks.throughput --data NAME --data_dir DIR
    python -m benchmarks.throughput --data NAME --data_dir DIR --config imagenet --batch_size 256

The first is ResNet-18 on crops of 32 pixels, the second ResNet-50 on crops of 224 out of images of
256; any data set will do for both, as small images are enlarged and large ones made smaller. Both
programs hold their images on the device, make the views there, and move by SGD. The step "network"
is without augmentation: both views are the plain image, resized or cut. What PyTorch does is said
in `benchmarks.throughput_torch`. Prints a line of JSON for each measurement, and then medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import jax
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from benchmarks import runs, turns
from ssljax.run.experiment import Experiment
from ssljax.train import compile_step


def throughput_config(name: str, augmented: bool) -> ConfigDict:
    """A config of SimCLR with SGD, and without augmentation if so asked.

    Args:
      name: "cifar10" or "imagenet".
      augmented: Whether the views are the config's.
    """
    path = runs.ROOT / "configs" / "simclr" / f"{name}.py"
    config = config_flags.ConfigFileFlagParser("config").parse(str(path))
    with config.unlocked():
        config.epochs = 1000.0
        config.optimizer.name = "sgd"
        config.data.cache = "device"
        config.data.resize = "exact"
        if not augmented:
            config.method.view.update(
                crop_scale=None, flip_p=0.0, jitter_p=0.0, gray_p=0.0, blur_p=0.0
            )
    return config


def _steps(asked: argparse.Namespace, augmented: bool) -> Callable[[int], None]:
    """Compiles the train step of a run; the result takes so many, on fresh images each."""
    config = throughput_config(asked.config, augmented)
    config.batch_size = asked.batch_size
    config.data.update(name=asked.data, dir=asked.data_dir, split=f"train[:{asked.images}]")
    experiment = Experiment(config)
    stream = experiment.stream()
    batches = stream.batches(0)
    state = experiment.init()
    lowered = compile_step(experiment, stream).lower(state, stream.constants, next(batches))
    compiled = lowered.compile()

    def steps(count: int) -> None:
        nonlocal state
        metrics: Any = None
        for _ in range(count):
            state, metrics = compiled(state, stream.constants, next(batches))
        jax.block_until_ready((state, metrics))

    return steps


def _serve(asked: argparse.Namespace) -> None:
    steps = {name: _steps(asked, name == "augmented") for name in asked.steps}
    turns.answer(steps, asked.batch_size, asked.seconds)


def _tell(medians: dict[tuple[str, str], list[float]], told: dict[str, Any]) -> None:
    medians[told["program"], told["step"]].append(told["images_per_second"])
    print(json.dumps(told), flush=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Images a second of SimCLR's train step.")
    parser.add_argument("--config", default="cifar10", choices=["cifar10", "imagenet"])
    parser.add_argument("--data", default="cifar10", help="TFDS name of the images")
    parser.add_argument("--data_dir", default="", help="TFDS directory; empty for TFDS_DATA_DIR")
    parser.add_argument("--images", type=int, default=4096, help="how many lie on the device")
    parser.add_argument("--batch_size", type=int, default=512, help="images in a batch")
    parser.add_argument("--steps", nargs="+", default=["augmented", "network"])
    parser.add_argument("--seconds", type=float, default=5, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each program")
    parser.add_argument("--only", choices=["ssljax", "torch"], help="measure one program alone")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        _serve(asked)
        return
    shared = [f"--config={asked.config}", f"--images={asked.images}"]
    shared += [f"--batch_size={asked.batch_size}", f"--seconds={asked.seconds}"]
    shared += ["--steps", *asked.steps]
    # JAX would take three quarters of the memory, and both programs are there at a time.
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")
    python = [sys.executable, "-m"]
    ours = ["--serve", f"--data={asked.data}", f"--data_dir={asked.data_dir}", *shared]
    commands = {
        "ssljax": [*python, "benchmarks.throughput", *ours],
        "torch": [*python, "benchmarks.throughput_torch", *shared],
    }
    if asked.only:
        commands = {asked.only: commands[asked.only]}
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    turns.take(commands, asked.rounds, lambda told: _tell(found, told))
    for (program, step), speeds in found.items():
        print(
            f"{program:8} {step:10} {statistics.median(speeds):10,.0f} images/s "
            f"({min(speeds):,.0f} to {max(speeds):,.0f})"
        )


if __name__ == "__main__":
    main()
