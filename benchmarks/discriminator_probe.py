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

from benchmarks import plots, runs
from benchmarks.stability import VARIANTS

SCORE = "linear"


def curve(workdir: pathlib.Path, score: str = SCORE) -> dict[float | str, list[float]]:
    """Reads a run's score by train step.

    Args:
      workdir: That of the run.
      score: Name of the score.

    Returns:
      The score by train step, one seed's; at 0 that of the untrained network.
    """
    final = json.loads((workdir / "scores.json").read_text())["scores"]
    found: dict[float | str, list[float]] = {0: [final["random network"][score]]}
    for line in (workdir / "metrics.jsonl").read_text().splitlines():
        values = json.loads(line)
        if f"eval/{score}" in values:
            found[values["step"]] = [values[f"eval/{score}"]]
    return found


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
    plots.curves(curves, asked.out / "discriminator_probe.png", "train step", "linear probe")
    text = (
        f"ssgan/{asked.config}, one seed, {runs.circumstances()}: {SCORE} probe of the "
        f"discriminator, per cent.\n\n{plots.table(curves, 'train step')}\n"
    )
    (asked.out / "discriminator_probe.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
