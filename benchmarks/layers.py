"""What does each layer know? Linear probes over the depth of several networks, as plot and table.

    python -m benchmarks.layers --data_dir DIR [--methods supervised,rotation] [--values 9600]

Every layer's map is pooled to the largest square grid that keeps at most so many values, as the
literature compares layers of unlike size. The random network is the first method's before training.
Runs are those of `benchmarks.evidence --family pretext`, trained here if they are not there yet.

Reference: Zhang et al., Colorful Image Colorization, 2016, section 3.2.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from benchmarks import plots, pretext_runs, runs


def depths(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, dict[float | str, list[float]]]:
    """Reads the linear probes by stage.

    Args:
      results: By method, for each seed what is in a `scores.json` of several stages.

    Returns:
      By network, the methods' and a random one, and by stage the accuracy of each seed.
    """
    first = next(iter(results.values()))
    networks = {"random network": [trial["scores"]["random network"] for trial in first]}
    networks |= {
        method: [trial["scores"]["trained network"] for trial in trials]
        for method, trials in results.items()
    }
    return {
        name: {
            score.removesuffix("/linear"): [trial[score] for trial in trials]
            for score in trials[0]
            if score.endswith("/linear")
        }
        for name, trials in networks.items()
    }


def main() -> None:
    """Trains and probes what is missing, and writes plot and table."""
    parser = pretext_runs.parser(__doc__, "runs/layers")
    parser.add_argument("--methods", default="", help="with commas; all pretext tasks by default")
    parser.add_argument("--values", type=int, default=9600, help="at most so many of each layer")
    parser.add_argument("--pool", default="average", choices=("average", "max"))
    parser.add_argument("--seeds", type=int, default=1, help="runs of each method, from seed 0")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, with a share of cores")
    asked = parser.parse_args()
    methods = asked.methods.split(",") if asked.methods else pretext_runs.solvers()
    methods = tuple(dict.fromkeys((pretext_runs.SUPERVISED, *methods)))

    def probe(method: str, seed: int, cores: Collection[int] | None = None) -> dict[str, Any]:
        pretext_runs.train(asked, method, seed, cores)
        return runs.evaluate(
            f"{method}/{asked.config}",
            pretext_runs.workdir(asked, method, seed),
            f"layers_{asked.pool}_{asked.values}",
            f"--config.seed={seed}",
            *pretext_runs.data_changes(asked),
            *pretext_runs.starts(asked, method, seed),
            f"--config.evals.pool={asked.pool}",
            f"--config.evals.pool_values={asked.values}",
            "--config.evals.final=('linear',)",
            f"--config.evals.baselines={method == methods[0]}",  # One random network for all.
            cores=cores,
        )

    trials = [(method, seed) for method in methods for seed in range(asked.seeds)]
    made = runs.side_by_side([functools.partial(probe, *trial) for trial in trials], asked.jobs)
    results: dict[str, list[dict]] = {method: [] for method in methods}
    for (method, _), result in zip(trials, made, strict=True):
        results[method].append(result)
    found = depths(results)
    asked.out.mkdir(parents=True, exist_ok=True)
    plots.curves(found, asked.out / "layers.png", "layer", "linear probe")
    text = (
        f"{pretext_runs.data_of(asked)}, {asked.seeds} seed(s), {runs.circumstances(asked.jobs)}: "
        f"linear probe of each layer, {asked.pool}-pooled to at most {asked.values} values, per "
        f"cent. {pretext_runs.NORMS}\n\n{plots.table(found, 'network')}\n"
    )
    (asked.out / "layers.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
