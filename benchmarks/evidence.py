"""Trains a family of methods on real images, and writes what each of them learnt as a table.

    python -m benchmarks.evidence --family joint --data_dir DIR [--methods simclr,byol] [--seeds 1]
        [--jobs 2]
    python -m benchmarks.evidence --family adversarial --data_dir DIR

Every run is the command line of its config, in a process of its own; a run that is already in the
output directory is not repeated. All scores are those of the last step. An encoder stands beside
the same network with random weights and the raw pixels; a generator beside one with random weights
and held-out real images, all compared by the features of one encoder, which is trained first.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Collection
from typing import Any

from benchmarks import runs

FAMILIES = {
    "joint": (
        "simclr", "moco", "moco_v3", "byol", "simsiam", "swav", "dino",
        "barlow_twins", "vicreg", "nnclr", "dcl", "deepcluster_v2", "mae",
    ),
    "adversarial": ("dcgan", "wgan", "wgan_gp", "sngan", "ebgan", "cgan", "sgan", "ssgan"),
}  # fmt: skip
EXTRACTOR = "simclr"
"""Method of the encoder by whose features generators are compared."""


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
    for method, trials in results.items():
        cells = []
        for column in columns:
            trained = _cell([run["scores"]["trained network"][column] for run in trials])
            chance = _cell([run["scores"]["random network"][column] for run in trials])
            cells.append(f"**{trained}** / {chance}")
        gain = [
            run["scores"]["trained network"]["knn20"] - run["scores"]["random network"]["knn20"]
            for run in trials
        ]
        minutes = statistics.mean(run["seconds"] for run in trials) / 60
        cells += [f"+{_cell(gain)}", str(len(trials)), f"{minutes:.1f}"]
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
    for method, trials in results.items():
        means = {
            (network, name): statistics.mean(run["scores"][network][name] for run in trials)
            for network in ("random generator", "trained generator")
            for name in names
        }
        random, trained = (means[f"{kind} generator", names[0]] for kind in ("random", "trained"))
        way = 100 * (random - trained) / (random - floor[0])
        kid = [means[f"{kind} generator", names[1]] for kind in ("random", "trained")]
        minutes = statistics.mean(run["seconds"] for run in trials) / 60
        lines.append(
            f"| {method} | {random:.2f} | **{trained:.3f}** | {way:.0f} | {kid[0]:.3f} | "
            f"**{kid[1]:.4f}** | {len(trials)} | {minutes:.1f} |"
        )
    return "\n".join([*lines, "", f"Scores: `{names[0]}`, `{names[1]}`."])


def main() -> None:
    """Runs what is missing and writes the table."""
    parser = runs.parser(__doc__, "runs/evidence")
    parser.add_argument("--family", choices=list(FAMILIES), required=True, help="which methods")
    parser.add_argument("--methods", default="", help="only these of the family, with commas")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each method, from seed 0")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, with a share of cores")
    asked = parser.parse_args()
    changes: list[str] = []

    def run(method: str, seed: int, cores: Collection[int] | None = None) -> dict[str, Any]:
        return runs.run(
            f"{method}/{asked.config}",
            asked.out / asked.config / f"{method}_{seed}",
            f"--config.seed={seed}",
            f"--config.data.dir={asked.data_dir}",
            *changes,
            cores=cores,
        )

    if asked.family == "adversarial":
        runs.side_by_side([functools.partial(run, EXTRACTOR, 0)], asked.jobs)
        changes = [
            f"--config.evals.generator.extractor={asked.out / asked.config / EXTRACTOR}_0",
            "--config.evals.final=('fid', 'kid', 'pictures')",
            "--config.evals.baselines=True",
        ]
    methods = asked.methods.split(",") if asked.methods else FAMILIES[asked.family]
    trials = [(method, seed) for method in methods for seed in range(asked.seeds)]
    made = runs.side_by_side([functools.partial(run, *trial) for trial in trials], asked.jobs)
    results: dict[str, list[dict]] = {method: [] for method in methods}
    for (method, _), result in zip(trials, made, strict=True):
        results[method].append(result)
    text = f"{asked.config}, {runs.circumstances(asked.jobs)}; at the last step.\n\n"
    if asked.family == "adversarial":
        text += generator_table(results) + "\n"
    else:
        text += "Trained / random network, per cent.\n\n" + table(results) + "\n"
    (asked.out / f"{asked.family}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
