"""What does a discriminator know as it is trained? Probes of its features, GAN against SSGAN.

    python -m benchmarks.discriminator_probe --data_dir DIR [--every 250]

Both are the networks of `configs/ssgan`; the GAN has the weights of both rotation losses at 0. The
linear probe reads the activations that the config names, averaged over places, of the discriminator
as it is every so many train steps. Writes a plot and a table.

Reference: Chen et al., Self-Supervised GANs via Auxiliary Rotation Loss, 2019, section 5.4.
"""

from __future__ import annotations

import json
import pathlib

import matplotlib

from benchmarks import runs
from benchmarks.stability import VARIANTS

SCORE = "linear"


def curve(workdir: pathlib.Path, score: str = SCORE) -> dict[int, float]:
    """Reads a run's score by train step.

    Args:
      workdir: That of the run.
      score: Name of the score.

    Returns:
      The score by train step; at 0 that of the untrained network.
    """
    final = json.loads((workdir / "scores.json").read_text())["scores"]
    found = {0: final["random network"][score]}
    for line in (workdir / "metrics.jsonl").read_text().splitlines():
        values = json.loads(line)
        if f"eval/{score}" in values:
            found[values["step"]] = values[f"eval/{score}"]
    return found


def plot(curves: dict[str, dict[int, float]], path: pathlib.Path) -> None:
    """Draws the scores over train steps."""
    matplotlib.use("agg")
    from matplotlib import pyplot  # After the choice of a backend without a display.

    figure, axes = pyplot.subplots(figsize=(5, 3.2), layout="constrained")
    for name, scores in curves.items():
        axes.plot(list(scores), [100 * score for score in scores.values()], "o-", label=name)
    axes.set_xlabel("train step")
    axes.set_ylabel("linear probe (%)")
    axes.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def table(curves: dict[str, dict[int, float]]) -> str:
    """Lays the scores out as Markdown: a row a network, a column a train step, per cent."""
    steps = list(next(iter(curves.values())))
    lines = [
        "| train step | " + " | ".join(map(str, steps)) + " |",
        "|---|" + "---:|" * len(steps),
    ]
    for name, scores in curves.items():
        cells = " | ".join(f"{100 * scores[step]:.1f}" for step in steps)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Runs what is missing, and writes plot and table."""
    parser = runs.parser(__doc__, "runs/discriminator_probe")
    parser.add_argument("--steps", type=int, default=1500, help="train steps of each run")
    parser.add_argument("--every", type=int, default=300, help="train steps between probes")
    asked = parser.parse_args()
    curves = {}
    for name, changes in VARIANTS.items():
        runs.run(
            f"ssgan/{asked.config}",
            asked.out / name,
            f"--config.data.dir={asked.data_dir}",
            f"--config.steps={asked.steps}",
            f"--config.evals.{SCORE}.every={asked.every}",
            f"--config.evals.final=('{SCORE}',)",
            *changes,
        )
        curves[name] = curve(asked.out / name)
    plot(curves, asked.out / "discriminator_probe.png")
    text = (
        f"ssgan/{asked.config}, one seed, {runs.circumstances()}: {SCORE} probe of the "
        f"discriminator, per cent.\n\n{table(curves)}\n"
    )
    (asked.out / "discriminator_probe.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
