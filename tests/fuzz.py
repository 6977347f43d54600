"""Random command lines: whatever is asked for, a run succeeds or says in one sentence why not.

python tests/fuzz.py --count 300 --seed 0 [--first N]

Methods, data sets and options are drawn, valid ones and others; each run has two steps of a tiny
network, and an evaluation. A draw is a function of (seed, number). What ends in anything but status
0, or in status 1 (diverged) or 2 (refused) with one sentence, is printed as a command line.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import io
import os
import pathlib
import random
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

LONGEST = 300
"""Seconds after which a run counts as hanging."""

_NUMBERS = ("0", "1", "2", "3", "8", "0.1", "0.5", "1.0")
_NO_NUMBERS = ("-1", "-0.5", "nan", "inf", "1e300", "1e-60", "1099511627776", "many", "", "(1,)")
_TUPLES = ("()", "(0.5,)", "0.5,1", "(1, 2)", "(4,8)", "((5, 0.1),)", "x,y", "[0", "(nan,)", "-1,2")
_TEXTS = ("", "x", "train", "test", "None", "../x", "a b")
# Values that take a branch of their own, beside those that the key's type suggests.
_SPECIAL = {
    "model.encoder.name": ("small", "vit_mini", "resnet", "unet"),
    "model.encoder.widths": ("(4,)", "(4,8)", "(0,)", "4,8,8,8,8,8", "(1000000000,)", "(2.5,)"),
    "model.encoder.patch_size": ("2", "4", "5", "0"),
    "optimizer.name": ("sgd", "lars", "adam", "adamw", "lamb", "rmsprop", "adagrad"),
    "optimizer.schedule": ("cosine", "linear", "constant", "step", "stairs"),
    "optimizer.scaling": ("linear", "sqrt", "none", "cubic"),
    "optimizer.exclude": ("()", "bias$", "[", "nothing_like_it", "(bias|scale)$,norm"),
    "data.split": ("train", "test", "train[:50%]", "train[:3]", "validation", "[::"),
    "data.cache": ("none", "device", "gpu"),
    "data.resize": ("short_side", "exact", "none", "pad"),
    "data.channels": ("1", "3", "2"),
    "data.image_size": ("16", "28", "32", "1", "7", "30", "100000", "-4"),
    "data.label_key": ("", "label", "objects/label"),
    "data.labels": ("0", "0.5", "2", "1000", "-1", "nan"),
    "batch_size": ("8", "16", "24", "9", "1", "0", "100000"),
    "steps": ("2", "1", "-1", "1.5", "1099511627776"),
    "evals.knn.every": ("0", "1", "-1"),
    "evals.linear.stream": ("true", "false"),
    "evals.final": ("()", "knn", "knn,linear", "('few_label',)", "fid", "pictures", "x"),
    "evals.knn.neighbors": (
        "((5, 0.1),)",
        "(5, 0.1)",
        "((0, 0.1),)",
        "((100000, 0.1),)",
        "((5, 0.0),)",
    ),
    "evals.few_label.labels": ("(1.0,)", "(0,)", "(-1,)", "0.5,1", "(1000.0,)"),
    "evals.test_split": ("test", "train", "validation"),
    "evals.stages": ("features", "stem,features", "stage9"),
    "checkpoint.best": ("", "knn5", "kid", "nothing"),
    "method.loss": ("hinge", "minimax", "non_saturating", "least_squares", "wasserstein", "l3"),
    "model.generator.norm": ("batch", "none", "conditional", "self_modulated", "group"),
    "model.discriminator.norm": ("batch", "none", "layer", "group"),
}
# Long runs, other machines' services, and directories: a data set or a cache may be made there.
_LEFT_ALONE = {
    "epochs",
    "data.name",
    "data.dir",
    "evals.dir",
    "evals.generator.cache",
    "log.wandb",
    "method.domain_b.dir",
    "method.domain_b.name",
    "method.frames.dir",
    "method.frames.name",
    "method.name",
    "init.workdir",
}
_FAULTS = (
    "--config.bach_size=3",
    "--workdir=",
    "stray",
    "--fly",
    "--mode=fly",
    "--config.method=3",
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      status: The exit status, or the name of what was raised.
      errors: What it wrote to stderr.
    """

    status: int | str
    errors: str

    @property
    def told(self) -> str:
        """The last line of stderr."""
        return (self.errors.strip().splitlines() or [""])[-1]

    @property
    def is_clean(self) -> bool:
        """Whether the run succeeded, or said in one sentence why not."""
        sentences = [x for x in self.errors.splitlines() if x.startswith("ssljax: ")]
        if "Traceback" in self.errors or self.status not in (0, 1, 2):
            return False
        return sentences == ([] if self.status == 0 else [self.told])


def make_folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Writes two folders of images: labelled ones under odd names, and a few without labels."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)

    def write(folder: pathlib.Path, names: list[str]) -> None:
        folder.mkdir(parents=True)
        for name in names:
            _, encoded = cv2.imencode(".png", rng.integers(0, 256, (20, 24, 3), np.uint8))
            (folder / name).write_bytes(encoded.tobytes())

    for split, count in (("train", 12), ("test", 4)):
        for name in ("a", "b c", "ünï"):
            write(root / "odd" / split / name, [f"{i} (copy).png" for i in range(count)])
    (root / "odd" / "train" / "a" / "notes.txt").write_text("no image")
    write(root / "bare", [f"{i}.PNG" for i in range(20)])
    return {name: root / name for name in ("odd", "bare")}


def draw(
    seed: int, number: int, folders: dict[str, pathlib.Path], workdir: pathlib.Path
) -> list[str]:
    """The command line of one draw, with the program's name first."""
    from ssljax import config as configs
    from ssljax import methods

    rng = random.Random(f"{seed}/{number}")
    method = rng.choice(sorted(methods.REGISTRY))
    base = configs.flatten(configs.base_config(method))
    values = _tiny(base) | _data(rng.choice(["digits", "digits", "odd", "bare"]), folders)
    keys = sorted(base.keys() - _LEFT_ALONE)
    views = [key for key in keys if "view" in key]
    others = [key for key in keys if key not in views]
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        key = rng.choice(views if views and rng.random() < 0.15 else others)
        values[key] = rng.choice(_candidates(key, base[key], rng.random() < 0.5))
    config = pathlib.Path(__file__).parents[1] / "configs" / method / "fashion_mnist.py"
    variant = ":odd" if rng.random() < 0.03 else ""
    command = ["ssljax", f"--config={config}{variant}", f"--workdir={workdir}"]
    command += [f"--config.{key}={value}" for key, value in values.items()]
    return [*command, rng.choice(_FAULTS)] if rng.random() < 0.05 else command


def _tiny(base: dict[str, Any]) -> dict[str, str]:
    """Settings of the smallest run of a method."""
    values = {
        "steps": "2",
        "batch_size": "8",
        "data.cache": "none",
        "data.threads": "1",
        "log.every": "1",
        "log.tensorboard": "false",
        "log.report": "false",
        "optimizer.warmup_epochs": "0.0",
        "evals.final": "('knn',)",
        "evals.knn.neighbors": "((5, 0.1),)",
        "evals.linear.epochs": "1",
        "evals.few_label.labels": "(1.0,)",
        "evals.few_label.seeds": "1",
        "evals.baselines": "false",
        "evals.generator.count": "16",
    }
    small = {
        "model.encoder.widths": "(4,8)",
        "model.encoder.convs_per_stage": "1",
        "model.generator.width": "0.0625",
        "model.discriminator.width": "0.0625",
        "method.discriminator_steps": "1",
        "method.projector_hidden_dim": "16",
        "method.projector_dim": "8",
        "method.predictor_hidden_dim": "16",
        "method.prototypes": "4",
        "method.clustering_epochs": "0.001",
        "method.queue_size": "16",
        "method.bn_groups": "2",
        "method.local_crops": "1",
        "method.local_view.size": "14",
        "method.local_view.mean": "(0.5,)",
        "method.local_view.std": "(0.5,)",
        "method.out_dim": "16",
        "method.bottleneck_dim": "8",
        "method.decoder_dim": "16",
        "method.decoder_depth": "1",
        "method.decoder_heads": "2",
    }
    return values | {key: value for key, value in small.items() if key in base}


def _data(name: str, folders: dict[str, pathlib.Path]) -> dict[str, str]:
    if name == "digits":
        return {"data.name": "digits"}
    labelled = {} if name == "odd" else {"evals.final": "()"}
    return {"data.name": "folder", "data.dir": str(folders[name])} | labelled


def _candidates(key: str, default: Any, sound: bool) -> tuple[str, ...]:
    """Values for a key, mostly of its type if they shall be sound."""
    if key in _SPECIAL:
        return _SPECIAL[key]
    if isinstance(default, bool):
        return ("true", "false") if sound else ("maybe", "2")
    if isinstance(default, int | float):
        return _NUMBERS if sound else _NO_NUMBERS
    if isinstance(default, str):
        return (default, *_TEXTS)
    return (*_TUPLES, "None") if default is None else _TUPLES


def run(command: list[str]) -> Outcome:
    """Runs a command line in this process, whatever happens."""
    from ssljax import main

    errors = io.StringIO()
    status: int | str
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()), _alarm():
        try:
            status = main.main(command)
        except BaseException as error:
            status = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return Outcome(status, errors.getvalue())


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise TimeoutError(f"still running after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """Runs the draws; returns how many did not end cleanly, at most 100."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    # The programs run for microseconds: it does not pay to optimise them.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    import jax

    statuses: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as root:
        folders = make_folders(pathlib.Path(root) / "images")
        for number in range(options.first, options.first + options.count):
            workdir = pathlib.Path(root) / str(number)
            command = draw(options.seed, number, folders, workdir)
            start = time.monotonic()
            outcome = run(command)
            jax.clear_caches()
            statuses[str(outcome.status) if outcome.is_clean else "unclean"] += 1
            seconds = time.monotonic() - start
            told = "" if outcome.status == 0 else outcome.told
            print(f"{number}: {outcome.status}, {seconds:.0f} s: {told}", flush=True)
            if not outcome.is_clean:
                print(f"UNCLEAN {shlex.join(command)}\n{outcome.errors[-1500:]}", flush=True)
    print(", ".join(f"{count} with {status}" for status, count in sorted(statuses.items())))
    return min(100, statuses["unclean"])


if __name__ == "__main__":
    sys.exit(main())
