"""How much memory does an evaluation take, and what does it grow with?

    python -m benchmarks.evaluation_memory --data_dir DIR [--sizes 20000,200000]

Sets of JPEG files of 64 pixels are made of CIFAR-10's images, enlarged and repeated with noise, and
scored by `--mode=evaluate` with kNN, linear and few-label probes of a thin network, one size after
the other, each in a process of its own. Its peak of resident memory is what the system reports.
Only the features, the labels and the list of files grow with the set: up to 256 MB of decoded
images are kept between passes, which is all of a small set and nothing of a large one.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from benchmarks import runs
from ssljax import data

_SIDE, _NOISE = 64, 8.0
_TEST, _TRAINED_ON = 2000, 64


def make_set(folder: pathlib.Path, source: data.Source, train: int) -> None:
    """Writes a set of so many training images and 2,000 test images, a folder for each class.

    Args:
      folder: Where; what is there already stays.
      source: Real images with labels, repeated as often as it takes.
      train: How many training images.
    """
    for split, count in (("train", train), ("test", _TEST)):
        if (folder / split).is_dir():
            continue
        beside = folder / f"{split}.part"
        for label in range(source.num_classes or 0):
            (beside / str(label)).mkdir(parents=True, exist_ok=True)

        def write(numbers: range, beside: pathlib.Path = beside) -> None:
            records = source.read_many([number % len(source) for number in numbers])
            for number, record in zip(numbers, records, strict=True):
                image = data.decode(record["image"], image_size=_SIDE, channels=3)
                noise = np.random.default_rng(number).normal(0, _NOISE, image.shape)
                noisy = np.clip(image + noise, 0, 255).astype(np.uint8)
                _, encoded = cv2.imencode(".jpg", noisy[..., ::-1])
                (beside / str(record["label"]) / f"{number}.jpg").write_bytes(encoded.tobytes())

        parts = [range(start, min(start + 256, count)) for start in range(0, count, 256)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(write, parts))
        beside.rename(folder / split)


def run(workdir: pathlib.Path, *changes: str) -> tuple[float, float]:
    """Runs the command line; returns its peak of resident memory, in MB, and its seconds."""
    command = [sys.executable, "-m", "ssljax.main", f"--workdir={workdir}", *changes]
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=runs.ROOT) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * kilobyte / 1e6, time.perf_counter() - start


def main() -> None:
    """Makes what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default="", help="TFDS directory; empty for TFDS_DATA_DIR")
    parser.add_argument("--data", default="cifar10", help="TFDS name of the real images")
    parser.add_argument("--sizes", default="20000,200000", help="training images of each set")
    parser.add_argument("--probes", default="knn,linear,few_label", help="what is evaluated")
    parser.add_argument("--out", default="runs/evaluation_memory", help="where to write")
    asked = parser.parse_args()
    out = pathlib.Path(asked.out).absolute()
    source = data.open_source(asked.data, "train", data_dir=asked.data_dir or None)
    make_set(out / "trained_on", source, _TRAINED_ON)
    common = (
        f"--config={runs.ROOT / 'configs' / 'simclr' / 'folder.py'}",
        f"--config.data.dir={out / 'trained_on'}",
        "--config.model.encoder.name=small",
        "--config.model.encoder.widths=(8,)",
        f"--config.data.image_size={_SIDE}",
        "--config.method.view.size=32",
        "--config.batch_size=16",
        "--config.steps=1",
        "--config.optimizer.warmup_epochs=0.0",
        "--config.log.tensorboard=False",
    )
    run(out / "run", *common, "--config.evals.final=()")
    lines = ["| training images | features and labels (MB) | peak memory (MB) | seconds |"]
    lines.append("|---:|---:|---:|---:|")
    for size in map(int, asked.sizes.split(",")):
        make_set(out / str(size), source, size)
        peak, seconds = run(
            out / "run",
            *common,
            "--mode=evaluate",
            f"--config.evals.dir={out / str(size)}",
            f"--config.evals.final={asked.probes}",
            "--config.evals.linear.epochs=1",
            "--config.evals.baselines=False",
        )
        kept = (size + _TEST) * (8 * 4 + 4 + 4) / 1e6
        lines.append(f"| {size:,} | {kept:.1f} | {peak:.0f} | {seconds:.0f} |")
    text = f"{runs.circumstances()}: {asked.probes}.\n\n" + "\n".join(lines) + "\n"
    (out / "evaluation_memory.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
