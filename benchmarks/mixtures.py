"""Trains every GAN loss on two mixtures of Gaussians, and writes which modes each of them covers.

    python -m benchmarks.mixtures [--losses hinge,r1] [--seeds 1] [--out runs/mixtures]

The mixtures and scores are those of VEEGAN and PacGAN: 8 modes on a ring, 25 on a grid, and 2,500
generated points of which a good one lies within 3 standard deviations of a mode's centre. All games
have the same small networks and as many generator steps; they differ in losses, penalties, critic
steps and learning rates. It takes minutes on two cores and is a check of the losses, not a
reproduction: PacGAN trains 40 times as long.

References: Srivastava et al., VEEGAN, 2017, section 4.1; Lin et al., PacGAN, 2018, section 4.1 and
its published code.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from benchmarks import runs
from ssljax import losses, optimizers
from ssljax.methods.contract import Aux, Batch, Method, Player, TrainState, Turn
from ssljax.run.step import init_state, make_step

PyTree = Any

STEPS = 10_000
BATCH = 128
HIDDEN = 64
CODE = 16
LATENT = 2
DATA = 100_000
POINTS = 2500
NEAR = 3.0
"""A point is good within so many standard deviations of a mode's centre."""


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Equally likely round Gaussians in the plane.

    Attributes:
      means: Centres of the modes, (modes, 2).
      std: Standard deviation of each mode.
    """

    means: np.ndarray
    std: float

    @property
    def scale(self) -> float:
        """Standard deviation of the centres: the networks see points divided by it."""
        return float(np.std(self.means))

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draws (count, 2) points."""
        chosen = self.means[rng.integers(len(self.means), size=count)]
        return chosen + self.std * rng.normal(size=(count, 2))


_ANGLES = 2 * np.pi * np.arange(8) / 8
_SIDE = np.arange(-4.0, 5.0, 2.0)
MIXTURES = {
    "ring": Mixture(np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1), 0.01),
    "grid": Mixture(np.stack(np.meshgrid(_SIDE, _SIDE), axis=-1).reshape(-1, 2), 0.05),
}


class Scores(NamedTuple):
    """How well points cover a mixture.

    Attributes:
      modes: Modes that are the nearest of a good point.
      high_quality: Share of good points.
      kl: Divergence of the good points' histogram over modes from the uniform one, in nats; the log
        of the number of modes if all are in one of them, and NaN if there is no good point.
    """

    modes: int
    high_quality: float
    kl: float


def score(points: np.ndarray, mixture: Mixture) -> Scores:
    """Scores generated points.

    Args:
      points: (count, 2).
      mixture: What they should have been drawn from.

    Returns:
      The scores.
    """
    distances = np.linalg.norm(points[:, None] - mixture.means[None], axis=2)
    good = np.min(distances, axis=1) < NEAR * mixture.std
    counts = np.bincount(np.argmin(distances, axis=1)[good], minlength=len(mixture.means))
    if not counts.any():
        return Scores(0, 0.0, math.nan)
    share = counts[counts > 0] / counts.sum()
    kl = float(np.sum(share * np.log(share * len(counts))))
    return Scores(int(np.count_nonzero(counts)), float(np.mean(good)), max(kl, 0.0))


@dataclasses.dataclass(frozen=True)
class Game:
    """What sets one row of the table apart.

    Attributes:
      loss: A key of `losses.GAN_LOSSES`, or "ebgan".
      penalty: "interpolated", "dragan", "r1" or none, of the discriminator.
      weight: Of the penalty.
      updates: Discriminator steps in one of the generator.
      clip: Greatest absolute weight of the discriminator; 0 for no limit.
      margin: Of EBGAN's energies.
      pulling_away: Weight of the pulling-away term in the generator's loss; 0.1 in the paper, whose
        codes and margins are those of images.
      rate: Adam's learning rate, which falls to 0 along a cosine.
    """

    loss: str
    penalty: str = ""
    weight: float = 0.0
    updates: int = 1
    clip: float = 0.0
    margin: float = 0.0
    pulling_away: float = 0.0
    rate: float = 2e-3


GAMES = {
    "minimax": Game("minimax"),
    "non_saturating": Game("non_saturating"),
    "least_squares": Game("least_squares"),
    "hinge": Game("hinge"),
    "wgan_clip": Game("wasserstein", updates=5, clip=0.1, rate=5e-4),
    "wgan_gp": Game("wasserstein", "interpolated", 1.0, updates=5, rate=1e-3),
    "dragan": Game("non_saturating", "dragan", 0.1, rate=4e-3),
    "r1": Game("non_saturating", "r1", 0.02, rate=4e-3),
    "ebgan": Game("ebgan", margin=1.0),
    "ebgan_pt": Game("ebgan", margin=1.0, pulling_away=2.0),
}


class Perceptron(nn.Module):
    """Linear layers with ReLUs between them.

    Attributes:
      widths: Units of each layer.
    """

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Float[Array, "batch dim"]) -> Float[Array, "batch out"]:
        """Applies the layers."""
        for width in self.widths[:-1]:
            x = nn.relu(nn.Dense(width, kernel_init=nn.initializers.he_normal())(x))
        return nn.Dense(self.widths[-1])(x)


class MixtureGan(Method):
    """A generator of points in the plane, and a discriminator or an autoencoder that judges them.

    Args:
      game: Losses and optimizers.
      steps: Length of the run, for the schedule.
    """

    def __init__(self, game: Game, steps: int) -> None:
        self.game = game
        self.generator = Perceptron((HIDDEN, HIDDEN, 2))
        self.encoder = Perceptron((HIDDEN, HIDDEN, CODE if self.is_autoencoder else 1))
        self.decoder = Perceptron((HIDDEN, HIDDEN, 2))
        project = functools.partial(losses.clip_weights, limit=game.clip) if game.clip else None
        adam = {"name": "adam", "b1": 0.5, "b2": 0.99, "learning_rate": game.rate, "exclude": ()}
        tx, _ = optimizers.build(adam, total_steps=steps, steps_per_epoch=steps, batch_size=BATCH)
        self.players = (
            Player(
                "discriminator", self.discriminator_loss, tx, updates=game.updates, project=project
            ),
            Player("generator", self.generator_loss, tx),
        )

    @property
    def is_autoencoder(self) -> bool:
        """Whether the discriminator is one."""
        return self.game.loss == "ebgan"

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the networks."""
        keys = jax.random.split(key, 3)
        judge = {"encoder": self.encoder.init(keys[0], jnp.zeros((1, 2)))}
        if self.is_autoencoder:
            judge["decoder"] = self.decoder.init(keys[1], jnp.zeros((1, CODE)))
        generator = self.generator.init(keys[2], jnp.zeros((1, LATENT)))
        return {"discriminator": judge, "generator": generator}, {}, ()

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Takes the points as they are."""
        return batch["images"]["image"]

    def generate(self, params: PyTree, key: PRNGKeyArray, count: int) -> Float[Array, "count 2"]:
        """Draws points from the generator."""
        return self.generator.apply(params, jax.random.normal(key, (count, LATENT)))

    def scores(self, params: PyTree, points: Float[Array, "batch 2"]) -> Float[Array, "batch"]:
        """The discriminator's logits, or the autoencoder's energies."""
        code = self.encoder.apply(params["encoder"], points)
        if not self.is_autoencoder:
            return code[:, 0]
        return losses.reconstruction_energy(points, self.decoder.apply(params["decoder"], code))

    def discriminator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The discriminator's side, with its penalty."""
        latent_key, penalty_key = jax.random.split(turn.key)
        fake = self.generate(turn.state.params["generator"], latent_key, turn.views.shape[0])
        critic = functools.partial(self.scores, params)
        if self.is_autoencoder:
            loss = losses.ebgan_discriminator(critic(turn.views), critic(fake), self.game.margin)
        else:
            loss = losses.GAN_LOSSES[self.game.loss].discriminator(critic(turn.views), critic(fake))
        if self.game.penalty == "interpolated":
            penalty = losses.interpolated_gradient_penalty(critic, turn.views, fake, penalty_key)
        elif self.game.penalty == "dragan":
            penalty = losses.dragan_penalty(critic, turn.views, penalty_key)
        elif self.game.penalty == "r1":
            penalty = losses.zero_centered_penalty(critic, turn.views)
        else:
            penalty = jnp.zeros(())
        return loss + self.game.weight * penalty, Aux()

    def generator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The generator's side; EBGAN-PT's pulling-away term is in this one only."""
        fake = self.generate(params, turn.key, turn.views.shape[0])
        judge = turn.state.params["discriminator"]
        scores = self.scores(judge, fake)
        if not self.is_autoencoder:
            return losses.GAN_LOSSES[self.game.loss].generator(scores), Aux()
        term = self.game.pulling_away * losses.pulling_away(self.codes(judge, fake))
        return losses.ebgan_generator(scores) + term, Aux()

    def codes(self, params: PyTree, points: Float[Array, "batch 2"]) -> Float[Array, "batch code"]:
        """The autoencoder's codes."""
        return self.encoder.apply(params["encoder"], points)


def trainer(game: Game, steps: int) -> Callable[[Array, Array], tuple[Array, Array]]:
    """Makes the function that plays one game to its end.

    Args:
      game: Which one.
      steps: Generator steps.

    Returns:
      `train(data, seed) -> (points, term)`: from real points (count, 2), 2,500 generated ones and
      the pulling-away term of their codes, NaN without an autoencoder.
    """
    method = MixtureGan(game, steps)
    step = make_step(method)

    @jax.jit
    def train(data: Array, seed: Array) -> tuple[Array, Array]:
        init_key, data_key, latent_key = jax.random.split(jax.random.key(seed), 3)

        def one(state: TrainState, _: None) -> tuple[TrainState, None]:
            key = jax.random.fold_in(data_key, state.step)
            rows = jax.random.randint(key, (BATCH, game.updates), 0, data.shape[0])
            return step(state, {"images": {"image": data[rows]}})[0], None

        state, _ = jax.lax.scan(one, init_state(method, init_key), length=steps)
        points = method.generate(state.params["generator"], latent_key, POINTS)
        if not method.is_autoencoder:
            return points, jnp.full((), jnp.nan)
        return points, losses.pulling_away(method.codes(state.params["discriminator"], points))

    return train


def play(name: str, seeds: int, steps: int) -> dict[str, list[dict[str, float]]]:
    """Plays one game on both mixtures, once a seed.

    Args:
      name: A key of `GAMES`.
      seeds: Runs, with seeds 0, 1, ...
      steps: Generator steps of each.

    Returns:
      By mixture, for each seed the scores, the pulling-away term and the seconds that it took; the
      first run's have the compilation in them.
    """
    train = trainer(GAMES[name], steps)
    results: dict[str, list[dict[str, float]]] = {}
    for kind, mixture in MIXTURES.items():
        for seed in range(seeds):
            start = time.perf_counter()
            data = mixture.sample(np.random.default_rng(seed), DATA) / mixture.scale
            points, term = train(jnp.asarray(data, jnp.float32), jnp.int32(seed))
            scores = score(np.asarray(points) * mixture.scale, mixture)._asdict()
            extra = {"pulling_away": float(term), "seconds": time.perf_counter() - start}
            results.setdefault(kind, []).append(scores | extra)
    return results


def table(results: Mapping[str, Mapping[str, list[dict[str, float]]]]) -> str:
    """Lays the results out as Markdown.

    Args:
      results: By game, what `play` returned.

    Returns:
      A row a game, each cell a mean over seeds; "-" where there is nothing to measure.
    """
    columns = {
        "modes": "modes of {}",
        "high_quality": "good points",
        "kl": "KL (nats)",
        "pulling_away": "pulling-away",
    }
    header = [
        f"{kind}: {title.format(len(mixture.means))}"
        for kind, mixture in MIXTURES.items()
        for title in columns.values()
    ]
    lines = [
        "| game | " + " | ".join(header) + " | seconds |",
        "|---|" + "---:|" * (len(header) + 1),
    ]
    for name, by_mixture in results.items():
        cells = [
            _cell(column, [run[column] for run in by_mixture[kind]])
            for kind in MIXTURES
            for column in columns
        ]
        seconds = sum(run["seconds"] for trials in by_mixture.values() for run in trials)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {seconds:.0f} |")
    return "\n".join(lines)


def _cell(column: str, values: list[float]) -> str:
    mean = statistics.mean(values)
    if math.isnan(mean):
        return "-"
    return f"{100 * mean:.1f} %" if column == "high_quality" else f"{mean:.3g}"


def main() -> None:
    """Plays the games and writes `mixtures.md` and `mixtures.json`."""
    parser = argparse.ArgumentParser(description="Mode coverage of every GAN loss.")
    parser.add_argument("--losses", default=",".join(GAMES), help="which games, by name")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each game, from seed 0")
    parser.add_argument("--out", type=pathlib.Path, default="runs/mixtures", help="where to write")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    results = {name: play(name, asked.seeds, STEPS) for name in asked.losses.split(",")}
    text = (
        f"{STEPS} generator steps of {BATCH} points, {asked.seeds} seed(s), "
        f"{runs.circumstances()}.\n\n"
        f"{table(results)}\n"
    )
    (asked.out / "mixtures.json").write_text(json.dumps(results, indent=2) + "\n")
    (asked.out / "mixtures.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
