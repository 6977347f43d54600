"""Trains a family of methods on real images, and writes what each of them learnt as a table.

    python -m benchmarks.evidence --family joint --data_dir DIR [--methods simclr,byol] [--seeds 5]

Every run is the command line of its config, in a process of its own; a run that is already in the
output directory is not repeated. The table has the scores at the last step, beside those of the
same network with random weights and of the raw pixels.
"""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

from absl import app, flags

FAMILIES = {
    "joint": (
        "simclr", "moco", "moco_v3", "byol", "simsiam", "swav", "dino",
        "barlow_twins", "vicreg", "nnclr", "dcl", "mae",
    ),
}  # fmt: skip
SEEDS = {"simclr": 3, "byol": 3, "swav": 3}
"""Runs of a method where there is more than one."""
_ROOT = pathlib.Path(__file__).parent.parent

_FAMILY = flags.DEFINE_enum("family", None, list(FAMILIES), "Which methods.", required=True)
_METHODS = flags.DEFINE_list("methods", [], "Only these methods of the family.")
_CONFIG = flags.DEFINE_string("config", "fashion_mnist", "Name of the config of each method.")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "TFDS directory; empty for TFDS_DATA_DIR.")
_SEEDS = flags.DEFINE_integer("seeds", 0, "Runs of each method, seeds 0, 1, ...; 0: see SEEDS.")
_OUT = flags.DEFINE_string("out", "runs/evidence", "Where runs and table are written.")


def _run(method: str, seed: int, out: pathlib.Path) -> dict:
    """Trains one method with one seed; returns its scores and the seconds it took."""
    workdir = out / _CONFIG.value / f"{method}_{seed}"
    result = workdir / "evidence.json"
    if not result.exists():
        start = time.perf_counter()
        command = [
            sys.executable, "-m", "ssljax.main", "--workdir", str(workdir),
            "--config", f"configs/{method}/{_CONFIG.value}.py",
            f"--config.seed={seed}", f"--config.data.dir={_DATA_DIR.value}",
        ]  # fmt: skip
        subprocess.run(command, cwd=_ROOT, check=True)
        scores = json.loads((workdir / "scores.json").read_text())
        scores["seconds"] = time.perf_counter() - start
        result.write_text(json.dumps(scores, indent=2) + "\n")
    return json.loads(result.read_text())


def _cell(values: list[float]) -> str:
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def table(results: dict[str, list[dict]]) -> str:
    """Lays the results out as Markdown.

    Args:
      results: By method, the contents of `scores.json` of each seed, with "seconds".

    Returns:
      A row a method, in per cent; each cell is trained / random network.
    """
    first = next(iter(results.values()))[0]["scores"]
    columns = [name for name in first["trained network"] if not name.endswith("_std")]
    pixels = [_cell([first["raw pixels"][column]]) for column in columns]
    lines = [
        "| method | " + " | ".join(columns) + " | kNN gain | seeds | minutes |",
        "|---|" + "---:|" * (len(columns) + 3),
        "| raw pixels | " + " | ".join(pixels) + " | | | |",
    ]
    for method, runs in results.items():
        cells = []
        for column in columns:
            trained = _cell([run["scores"]["trained network"][column] for run in runs])
            chance = _cell([run["scores"]["random network"][column] for run in runs])
            cells.append(f"**{trained}** / {chance}")
        gain = [
            run["scores"]["trained network"]["knn20"] - run["scores"]["random network"]["knn20"]
            for run in runs
        ]
        minutes = statistics.mean(run["seconds"] for run in runs) / 60
        cells += [f"+{_cell(gain)}", str(len(runs)), f"{minutes:.1f}"]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(_: list[str]) -> None:
    """Runs what is missing and writes the table."""
    out = pathlib.Path(_OUT.value).absolute()
    results: dict[str, list[dict]] = {}
    for method in _METHODS.value or FAMILIES[_FAMILY.value]:
        seeds = range(_SEEDS.value or SEEDS.get(method, 1))
        results[method] = [_run(method, seed, out) for seed in seeds]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, capture_output=True, text=True
    ).stdout.strip()
    text = (
        f"{_CONFIG.value}, {datetime.date.today()}, {len(os.sched_getaffinity(0))} core(s) of "
        f"{platform.machine()}, commit {commit}; trained / random network, per cent, at the last "
        "step.\n\n"
        f"{table(results)}\n"
    )
    (out / f"{_FAMILY.value}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    app.run(main)
