"""How much does a generator's FID depend on the optimizer? GAN against SSGAN, on a small grid.

    python -m benchmarks.stability --data_dir DIR [--out runs/stability]

Both are the networks of `configs/ssgan`; the GAN has the weights of both rotation losses at 0. The
grid is over spectral norm of the discriminator, Adam's decays and the discriminator's steps. FID is
by the features of one encoder, which is trained first.

Reference: Chen et al., Self-Supervised GANs via Auxiliary Rotation Loss, 2019, section 5.2.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping

from benchmarks import runs

VARIANTS = {
    "GAN": ("--config.method.rotation_weight_real=0.0", "--config.method.rotation_weight_fake=0.0"),
    "SSGAN": (),
}
SPECTRAL_NORM = (True, False)
DECAYS = ((0.0, 0.9), (0.5, 0.999))
"""Adam's β1 and β2."""
Cell = tuple[bool, tuple[float, float], int]
EXTRACTOR = "simclr"


def fid(scores: Mapping[str, float]) -> tuple[str, float]:
    """The FID among a generator's scores: its full name and its value."""
    return next((name, value) for name, value in scores.items() if name.startswith("fid_"))


def table(figures: dict[str, dict[Cell, float]]) -> str:
    """Lays the figures out as Markdown.

    Args:
      figures: By variant and cell of the grid, the FID.

    Returns:
      A row a cell, a column a variant, and below them mean, standard deviation and worst.
    """
    names = list(figures)
    lines = [
        "| spectral norm | β1 | β2 | D steps | " + " | ".join(names) + " |",
        "|---|---:|---:|---:|" + "---:|" * len(names),
    ]
    for cell in figures[names[0]]:
        spectral, (b1, b2), steps = cell
        values = " | ".join(f"{figures[name][cell]:.3f}" for name in names)
        lines.append(f"| {'yes' if spectral else 'no'} | {b1} | {b2} | {steps} | {values} |")
    for title, of in (("mean", statistics.mean), ("std", statistics.stdev), ("worst", max)):
        values = " | ".join(f"**{of(figures[name].values()):.3f}**" for name in names)
        lines.append(f"| {title} | | | | {values} |")
    return "\n".join(lines)


def main() -> None:
    """Runs what is missing and writes the table."""
    parser = runs.parser(__doc__, "runs/stability")
    parser.add_argument("--steps", type=int, default=500, help="train steps of each run")
    parser.add_argument("--extractor", default="", help="workdir of an encoder that is trained")
    parser.add_argument(
        "--discriminator_steps", type=int, nargs="+", default=[1, 2], help="part of the grid"
    )
    asked = parser.parse_args()
    where, extractor = f"--config.data.dir={asked.data_dir}", asked.extractor
    if not extractor:
        extractor = str(asked.out / EXTRACTOR)
        runs.run(f"{EXTRACTOR}/{asked.config}", asked.out / EXTRACTOR, where)
    figures: dict[str, dict[Cell, float]] = {name: {} for name in VARIANTS}
    for cell in itertools.product(SPECTRAL_NORM, DECAYS, asked.discriminator_steps):
        spectral, (b1, b2), steps = cell
        for name, changes in VARIANTS.items():
            scores = runs.run(
                f"ssgan/{asked.config}",
                asked.out / f"{name}_{'sn' if spectral else 'plain'}_{b1}_{b2}_{steps}",
                where,
                f"--config.steps={asked.steps}",
                f"--config.model.discriminator.spectral_norm={spectral}",
                f"--config.optimizer.b1={b1}",
                f"--config.optimizer.b2={b2}",
                f"--config.method.discriminator_steps={steps}",
                f"--config.evals.generator.extractor={extractor}",
                "--config.evals.final=('fid',)",
                "--config.evals.baselines=False",
                *changes,
            )
            full_name, figures[name][cell] = fid(scores["scores"]["trained generator"])
    text = (
        f"ssgan/{asked.config}, {asked.steps} train steps, one seed, {runs.circumstances()}: "
        f"`{full_name}`.\n\n{table(figures)}\n"
    )
    (asked.out / "stability.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
