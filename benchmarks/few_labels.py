"""What do unlabelled images add to few labels? SGAN against the same network on the labels alone.

    python -m benchmarks.few_labels --data_dir DIR [--labels 10] [--seeds 3]

Both are the config of SGAN, with the same network, labelled images, batches of them, steps and
average of weights; the twin has neither generator nor unlabelled images. Each seed draws labelled
images of its own. The figure is test accuracy at the last step.

Reference: Salimans et al., Improved Techniques for Training GANs, 2016, section 6.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from benchmarks import runs

TITLES = {False: "SGAN", True: "labels alone"}
"""By `method.supervised_only`."""


def table(accuracies: Mapping[str, Sequence[float]]) -> str:
    """Lays the accuracies out as Markdown.

    Args:
      accuracies: By variant, in [0, 1], one a seed; the seeds are the same for all.

    Returns:
      A row a variant with each seed, mean and standard deviation, per cent; and that of the
      difference of the first two, seed by seed.
    """
    first, second, *_ = accuracies.values()
    gain = [a - b for a, b in zip(first, second, strict=True)]
    lines = [
        "| | " + " | ".join(f"seed {seed}" for seed in range(len(first))) + " | mean ± std |",
        "|---|" + "---:|" * (len(first) + 1),
    ]
    for name, values in {**accuracies, "difference": gain}.items():
        spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
        cells = [f"{100 * value:.1f}" for value in values]
        mean = f"{100 * statistics.mean(values):.1f}"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | **{mean}**{spread} |")
    return "\n".join(lines)


def main() -> None:
    """Runs what is missing and writes the table."""
    parser = runs.parser(__doc__, "runs/few_labels")
    parser.add_argument("--labels", type=float, default=10.0, help="labels a class")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each, from seed 0")
    asked = parser.parse_args()
    accuracies: dict[str, list[float]] = {title: [] for title in TITLES.values()}
    for seed in range(asked.seeds):
        for supervised_only, title in TITLES.items():
            scores = runs.run(
                f"sgan/{asked.config}",
                asked.out / f"{'supervised' if supervised_only else 'sgan'}_{seed}",
                f"--config.data.dir={asked.data_dir}",
                f"--config.data.labels={asked.labels}",
                f"--config.seed={seed}",
                f"--config.data.labels_seed={seed}",
                f"--config.method.supervised_only={supervised_only}",
                "--config.evals.final=('classifier',)",
                "--config.evals.baselines=False",
            )
            accuracies[title].append(scores["scores"]["trained network"]["classifier"])
    text = (
        f"sgan/{asked.config}, {asked.labels:g} labels a class, {runs.circumstances()}: test "
        f"accuracy, per cent.\n\n{table(accuracies)}\n"
    )
    (asked.out / "few_labels.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
