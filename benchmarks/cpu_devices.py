"""Measures what the cores of a CPU give: as the threads of one device, and as a device each.

    python -m benchmarks.cpu_devices [--data_dir DIR] [--rounds 7] [--only simclr sngan]

Every way to use the cores has a process of its own, as a process starts its devices only once, and
the processes take a few train steps in turns. Where the machine has other work, a round waits until
no other process runs, and counts only if the threads of each way waited for a core less than a
tenth of its time. Only the train step is timed, with its gathering from the images on the device.
One JSON line a config has the medians of images a second; Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from benchmarks import runs
from ssljax.run import cores

TURN_S = 0.3
"""Seconds of train steps in a turn, about."""

MOST_WAITED = 0.1
"""Of a turn's time, what its threads may have waited for a core."""


class Way(NamedTuple):
    """How a process uses the cores.

    Attributes:
      devices: Whether each core is a device.
      threads: Whether an operation of a device may be split over threads.
      huge_pages: Whether memory comes in huge pages.
    """

    devices: bool
    threads: bool
    huge_pages: bool = False


WAYS = {
    "threads": Way(devices=False, threads=True),
    "devices": Way(devices=True, threads=False),
    "devices and threads": Way(devices=True, threads=True),
    "threads, huge pages": Way(devices=False, threads=True, huge_pages=True),
    "devices, huge pages": Way(devices=True, threads=False, huge_pages=True),
    "devices and threads, huge pages": Way(devices=True, threads=True, huge_pages=True),
}

CONFIGS = ("simclr", "swav", "mae", "sngan", "resnet18")


def read_config(name: str) -> ConfigDict:
    """The config for Fashion-MNIST of a method; "resnet18" is SimCLR's at 32 pixels."""
    method = "simclr" if name == "resnet18" else name
    path = runs.ROOT / "configs" / method / "fashion_mnist.py"
    config = config_flags.ConfigFileFlagParser("config").parse(str(path))
    if name == "resnet18":
        config.batch_size, config.data.image_size, config.method.view.size = 32, 32, 32
        with config.unlocked():
            network = {"name": "resnet18", "stem": "cifar", "dtype": "float32"}
            config.model = ConfigDict({"encoder": network})
    return config


def environment(way: Way) -> dict[str, str]:
    """The environment of a process that uses the cores in a way."""
    made = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "GLIBC_TUNABLES")}
    made["JAX_NUM_CPU_DEVICES"] = str(cores.available() if way.devices else 1)
    made["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(way.threads).lower()}"
    return made | (cores.HUGE_PAGES if way.huge_pages else {})


def work(name: str, data_dir: str) -> None:
    """Answers each line of the standard input with the images a second of some train steps."""
    import jax

    from ssljax.run.experiment import Experiment
    from ssljax.train import compile_step

    config = read_config(name)
    config.data.dir = data_dir
    experiment = Experiment(config)
    stream, state = experiment.stream(), experiment.init()
    batches = stream.batches(0)
    lowered = compile_step(experiment, stream).lower(state, stream.constants, next(batches))
    compiled = lowered.compile()
    images = config.batch_size * experiment.batches_per_step

    def steps(count: int) -> tuple[float, float]:
        nonlocal state
        fed = [jax.block_until_ready(next(batches)) for _ in range(count)]
        waited, start = waited_s(), time.perf_counter()
        for batch in fed:
            state, metrics = compiled(state, stream.constants, batch)
        jax.block_until_ready((state, metrics))
        seconds = time.perf_counter() - start
        return images * count / seconds, (waited_s() - waited) / seconds

    steps(2)  # The first also allocates.
    count = max(2, round(TURN_S * steps(2)[0] / images))
    print(json.dumps({"devices": jax.device_count()}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(steps(count)), flush=True)


def waited_s() -> float:
    """Seconds in which threads of this process could have run and had no core."""
    waited = 0
    for path in pathlib.Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # The thread has ended.
            waited += int(path.read_text().split()[1])
    return waited / 1e9


def wait_for_quiet(until: float) -> None:
    """Waits until no other process of the machine runs, or a time on the monotonic clock."""
    while time.monotonic() < until:
        running = pathlib.Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
        if int(running) <= 1:  # This process.
            return
        time.sleep(0.05)


Turn = Callable[[], tuple[float, float]]


@contextlib.contextmanager
def worker(name: str, data_dir: str, way: str) -> Iterator[Turn]:
    """A process that takes train steps of a config in one way.

    Each call times some: it gives images a second, and how much of the time threads waited.
    """
    command = [sys.executable, "-m", "benchmarks.cpu_devices", "--worker", name]
    with subprocess.Popen(
        [*command, "--data_dir", data_dir],
        cwd=runs.ROOT,
        env=environment(WAYS[way]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        json.loads(process.stdout.readline())

        def call() -> tuple[float, float]:
            print(file=process.stdin, flush=True)
            speed, waited = json.loads(process.stdout.readline())
            return speed, waited

        yield call
        process.stdin.close()


def measure(
    name: str, data_dir: str, ways: Sequence[str], rounds: int, patience_s: float
) -> dict[str, float]:
    """Medians of the images a second of a config, by the way in which the cores are used.

    Args:
      name: See `read_config`.
      data_dir: TFDS directory, or "".
      ways: Of `WAYS`.
      rounds: Rounds that must count.
      patience_s: Seconds for them; afterwards the best of each way are taken of all.

    Returns:
      By way; and "rounds that counted".
    """
    with contextlib.ExitStack() as stack:
        calls = {way: stack.enter_context(worker(name, data_dir, way)) for way in ways}
        until = time.monotonic() + patience_s
        counted: list[dict[str, float]] = []
        others: list[dict[str, float]] = []
        while len(counted) < rounds and (time.monotonic() < until or not counted + others):
            wait_for_quiet(until)
            turns = {way: call() for way, call in calls.items()}
            waited = max(share for _, share in turns.values())
            speeds = {way: speed for way, (speed, _) in turns.items()}
            (counted if waited < MOST_WAITED else others).append(speeds)
    middle = statistics.median if counted else max
    medians = {way: middle(turn[way] for turn in counted or others) for way in ways}
    return {way: round(x, 1) for way, x in medians.items()} | {"rounds that counted": len(counted)}


def main() -> None:
    """Measures and prints one line a config."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", default="", help="TFDS directory; empty for TFDS_DATA_DIR")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that must count")
    parser.add_argument("--patience_s", type=float, default=120.0, help="for a config's rounds")
    parser.add_argument("--only", nargs="+", default=CONFIGS, help="methods with such a config")
    parser.add_argument("--ways", nargs="+", default=tuple(WAYS), choices=WAYS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(asked.worker, asked.data_dir)
        return
    made = {
        "date": str(datetime.date.today()),
        "cores": cores.available(),
        "load": round(os.getloadavg()[0], 1),
        "commit": runs.commit(),
    }
    print(json.dumps(made), flush=True)
    for name in asked.only:
        speeds = measure(name, asked.data_dir, asked.ways, asked.rounds, asked.patience_s)
        load = round(os.getloadavg()[0], 1)
        line = {"config": name, **speeds, "load": load}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
