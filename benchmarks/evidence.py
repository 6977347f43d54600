"""Trains a family of methods on real images, and writes what each of them learnt as a table.

    python -m benchmarks.evidence --family joint --data_dir DIR [--methods simclr,byol] [--seeds 5]
    python -m benchmarks.evidence --family adversarial --data_dir DIR

Every run is the command line of its config, in a process of its own; a run that is already in the
output directory is not repeated. All scores are those of the last step. An encoder stands beside
the same network with random weights and the raw pixels; a generator beside one with random weights
and held-out real images, all compared by the features of one encoder, which is trained first.
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
    "adversarial": ("dcgan", "wgan", "wgan_gp", "sngan", "ebgan", "cgan", "sgan", "ssgan"),
}  # fmt: skip
SEEDS = {"simclr": 3, "byol": 3, "swav": 3}
"""Runs of a method where there is more than one."""
EXTRACTOR = "simclr"
"""Method of the encoder by whose features generators are compared."""
_ROOT = pathlib.Path(__file__).parent.parent

_FAMILY = flags.DEFINE_enum("family", None, list(FAMILIES), "Which methods.", required=True)
_METHODS = flags.DEFINE_list("methods", [], "Only these methods of the family.")
_CONFIG = flags.DEFINE_string("config", "fashion_mnist", "Name of the config of each method.")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "TFDS directory; empty for TFDS_DATA_DIR.")
_SEEDS = flags.DEFINE_integer("seeds", 0, "Runs of each method, seeds 0, 1, ...; 0: see SEEDS.")
_OUT = flags.DEFINE_string("out", "runs/evidence", "Where runs and table are written.")


def _run(method: str, seed: int, out: pathlib.Path, *changes: str) -> dict:
    """Trains one method with one seed; returns its scores and the seconds it took."""
    workdir = out / _CONFIG.value / f"{method}_{seed}"
    result = workdir / "evidence.json"
    if not result.exists():
        start = time.perf_counter()
        command = [
            sys.executable, "-m", "ssljax.main", "--workdir", str(workdir),
            "--config", f"configs/{method}/{_CONFIG.value}.py",
            f"--config.seed={seed}", f"--config.data.dir={_DATA_DIR.value}", *changes,
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


def generator_table(results: dict[str, list[dict]]) -> str:
    """Lays the results of generators out as Markdown.

    Args:
      results: By method, the contents of `scores.json` of each seed, with "seconds".

    Returns:
      A row a method; "way" is the share of the way from the random generator to the held-out real
      images that training has gone, by FID, in per cent.
    """
    first = next(iter(results.values()))[0]["scores"]
    names = [
        next(name for name in first["trained generator"] if name.startswith(metric))
        for metric in ("fid_", "kid_")
    ]
    floor = [first["held-out reals"][name] for name in names]
    lines = [
        "| method | FID random | FID trained | way | KID random | KID trained | seeds | minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        f"| held-out reals | | {floor[0]:.4f} | 100 | | {floor[1]:.4f} | | |",
    ]
    for method, runs in results.items():
        means = {
            (network, name): statistics.mean(run["scores"][network][name] for run in runs)
            for network in ("random generator", "trained generator")
            for name in names
        }
        random, trained = (means[f"{kind} generator", names[0]] for kind in ("random", "trained"))
        way = 100 * (random - trained) / (random - floor[0])
        kid = [means[f"{kind} generator", names[1]] for kind in ("random", "trained")]
        minutes = statistics.mean(run["seconds"] for run in runs) / 60
        lines.append(
            f"| {method} | {random:.2f} | **{trained:.3f}** | {way:.0f} | {kid[0]:.3f} | "
            f"**{kid[1]:.4f}** | {len(runs)} | {minutes:.1f} |"
        )
    return "\n".join([*lines, "", f"Scores: `{names[0]}`, `{names[1]}`."])


def main(_: list[str]) -> None:
    """Runs what is missing and writes the table."""
    out = pathlib.Path(_OUT.value).absolute()
    changes: list[str] = []
    if _FAMILY.value == "adversarial":
        _run(EXTRACTOR, 0, out)
        extractor = out / _CONFIG.value / f"{EXTRACTOR}_0"
        changes = [
            f"--config.evals.generator.extractor={extractor}",
            "--config.evals.final=('fid', 'kid')",
            "--config.evals.baselines=True",
        ]
    results: dict[str, list[dict]] = {}
    for method in _METHODS.value or FAMILIES[_FAMILY.value]:
        seeds = range(_SEEDS.value or SEEDS.get(method, 1))
        results[method] = [_run(method, seed, out, *changes) for seed in seeds]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, capture_output=True, text=True
    ).stdout.strip()
    text = (
        f"{_CONFIG.value}, {datetime.date.today()}, {len(os.sched_getaffinity(0))} core(s) of "
        f"{platform.machine()}, commit {commit}; at the last step.\n\n"
    )
    if _FAMILY.value == "adversarial":
        text += generator_table(results) + "\n"
    else:
        text += "Trained / random network, per cent.\n\n" + table(results) + "\n"
    (out / f"{_FAMILY.value}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    app.run(main)
