"""ProGAN: images of 4 pixels first, and then twice as large again and again, each size faded in.

Karras et al., Progressive Growing of GANs for Improved Quality, Stability, and Variation, 2018.
What the paper leaves open is as in the authors' TensorFlow code.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.methods.adversarial.game import Adversarial, Images, Outputs
from ssljax.methods.contract import Aux, Batch, Phase, Task, TrainState, Turn
from ssljax.models.gan.progan import FADE, FIRST, growing_sizes, mix
from ssljax.ops.resampling import box_down, nearest_up

PyTree = Any
_NETWORK = dict(name="progan", fmap_base=8192, fmap_max=512, width=1.0)
"""Of both networks, which must have layers of the same sizes."""


class Stage(NamedTuple):
    """What a phase of growing is.

    Attributes:
      size: Side of the images in pixels.
      fades: Whether the layers of that size are faded in; otherwise they are used alone.
      start: Its first train step.
      steps: How many it has.
    """

    size: int
    fades: bool
    start: int
    steps: int


class ProGAN(Adversarial):
    """WGAN-GP between two networks that grow together.

    Each size has a phase of its own, and before it, but for the first, one in which it fades in:
    what both networks give or see is a mixture with the size before, real images too. Both sides'
    optimizers start afresh with every phase. A phase is so many images long, by the one batch that
    a run has. The authors' batches are smaller at large sizes, where memory forces them to, and
    with several GPUs larger at small ones; `rates` are those of their eight. Real images are
    averages of the full ones, which the authors round to bytes at each size.

    As in the authors' code the slope of the gradient penalty is taken by the values of a full-size
    image, in which a small one is enlarged, and is of the sum of scores, which share the minibatch
    standard deviation. The generator's average moves with each update of the discriminator, here
    after the generator's update and there before.

    The method draws full-size images in every phase: small ones are enlarged, and all are clipped
    to [-1, 1].
    """

    roles: ClassVar = {
        "generator": dataclasses.replace(models.GENERATOR, options=_NETWORK | {"dtype": "float32"}),
        "discriminator": dataclasses.replace(
            models.DISCRIMINATOR, options=_NETWORK | {"group_size": 4, "dtype": "float32"}
        ),
    }

    @staticmethod
    def default_config() -> ConfigDict:
        """The authors' values for CelebA-HQ."""
        config = Adversarial.default_config()
        config.update(latent_dim=512, ema_decay=0.999)
        # Thousands of real images; with both 0 the images have their full size from the start.
        config.stable_kimg = 600.0
        config.fade_kimg = 600.0
        config.fade_every = 4  # Train steps between two changes of the mixture.
        config.rates = ()  # Pairs of a size and a factor on the learning rate there.
        config.flip = False  # Whether half of the real images are mirrored.
        config.penalty_weight = 10.0
        config.penalty_target = 1.0
        config.drift_weight = 1e-3
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method, side = config.method, task.image_shape[0]
        images = task.batch_size * config.optimizer.accumulate * method.discriminator_steps
        lengths = (
            math.ceil(1000 * kimg / images) for kimg in (method.stable_kimg, method.fade_kimg)
        )
        stages = growth(side, *lengths)
        if stages[-1].start >= task.total_steps:
            raise ValueError(
                f"By method.stable_kimg={method.stable_kimg} and method.fade_kimg="
                f"{method.fade_kimg} images have {side} pixels after {stages[-1].start} steps, and "
                f"the run has {task.total_steps}: make them smaller, or the run longer."
            )
        self.phases = [
            Phase(f"{stage.size} px{', fading in' if stage.fades else ''}", stage.steps)
            for stage in stages
        ]
        self.stage = stages[task.phase]
        config = config.copy_and_resolve_references()
        config.optimizer.learning_rate *= _factor(method.rates, stages, self.stage.size)
        super().__init__(config, task, "wasserstein")
        self.game = losses.GANLoss(self._discriminator_game, losses.wasserstein_generator)
        self.shrink = side // self.stage.size
        generator: Any = self.networks.by_role["generator"]
        by_role = {**self.networks.by_role, "generator": generator.clone(size=self.stage.size)}
        self.networks = dataclasses.replace(self.networks, by_role=by_role)
        self.averages = {"generator": method.ema_decay**method.discriminator_steps}
        self.fade_every, self.flip = method.fade_every, method.flip
        self.penalty_weight, self.drift_weight = method.penalty_weight, method.drift_weight
        self.penalty_target = method.penalty_target

    def enter_phase(self, state: TrainState) -> TrainState:
        """Starts the optimizers of both networks afresh."""
        own = {
            player.name: player.tx.init(state.params[player.name])
            for player in self.players
            if player.name in self.owned
        }
        return state.replace(opt_state=state.opt_state | own)

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Share of the newest layers at a train step: from 0 to 1 in a phase that fades."""
        if not self.stage.fades:
            return jnp.ones(())
        done = (step - self.stage.start) // self.fade_every * self.fade_every
        return jnp.clip(done.astype(jnp.float32) / self.stage.steps, 0.0, 1.0)

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Scales the real images to [-1, 1], mirrors half of them if asked to, and shrinks them."""
        images = super().views(key, batch)["image"]
        if self.flip:
            images = augment.random_flip(augment.example_keys(key, len(images)), images)
        return {"image": box_down(images, self.shrink)}

    def penalties(
        self, critic: Callable[[Array], Array], real: Images, fake: Images, key: PRNGKeyArray
    ) -> dict[str, Array]:
        """The gradient penalty, weighted."""
        # The slope by the small image is that by the full one times the factor between their sides.
        target = self.penalty_target * self.shrink
        penalty = losses.interpolated_gradient_penalty(critic, real, fake, key, target)
        return {"gradient_penalty": self.penalty_weight * penalty}

    def _discriminator_game(self, real: Float[Array, "real"], fake: Float[Array, "fake"]) -> Array:
        game: Array = losses.wasserstein_discriminator(real, fake)
        return game + self.drift_weight * losses.score_drift(real)

    def scores(self, real: Float[Array, "real"], fake: Float[Array, "fake"]) -> dict[str, Array]:
        """The distance of the scores, and their drift."""
        return super().scores(real, fake) | {"drift": losses.score_drift(real)}

    def discriminator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Tells real images, which are faded as the generated ones are, from those."""
        step = turn.state.step
        turn = turn.replace(
            state=self._fading(turn.state, step),
            views=turn.views | {"image": self._faded(turn.views["image"], step)},
        )
        loss, aux = super().discriminator_loss(params, turn)
        return loss, aux.replace(variables={}, metrics=aux.metrics | {"fade": self.weight(step)})

    def generator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Makes images that the discriminator gives high scores."""
        turn = turn.replace(state=self._fading(turn.state, turn.state.step))
        loss, aux = super().generator_loss(params, turn)
        return loss, aux.replace(variables={})

    def all_outputs(self, state: TrainState, images: Array) -> Outputs:
        """All outputs of the discriminator for raw images, as it sees them in this phase."""
        step = state.step - 1
        seen = box_down(augment.to_tanh_range(images), self.shrink)
        params, variables = self.trained_weights(self._fading(state, step))
        outputs: Any = self.networks.by_role["discriminator"].apply(
            {"params": params, **variables}, self._faded(seen, step), False
        )
        return outputs

    def generate(self, state: TrainState, latents: PyTree) -> Float[Array, "count h w channels"]:
        """Makes images of full size by the averaged generator, as it was in the last step."""
        images = super().generate(self._fading(state, state.step - 1), latents)
        return jnp.clip(nearest_up(images, self.shrink), -1.0, 1.0)

    def _faded(self, images: Images, step: Int[Array, ""]) -> Images:
        """Images of this size, mixed with themselves at half of it."""
        if not self.stage.fades:
            return images
        return mix(nearest_up(box_down(images, 2), 2), images, self.weight(step))

    def _fading(self, state: TrainState, step: Int[Array, ""]) -> TrainState:
        """The state with the mixture's weight of a step among all networks' collections."""
        if not self.stage.fades:
            return state
        fade = {FADE: {"weight": self.weight(step)}}
        players = {name: state.variables[name] | fade for name in self.owned}
        averages = {role: state.memory[role] | fade for role in self.averages}
        return state.replace(variables=state.variables | players, memory=state.memory | averages)


def growth(side: int, stable: int, fade: int) -> list[Stage]:
    """The stages on the way to a size; those without a step are left out, but for the last.

    Args:
      side: Of the full-size images, in pixels.
      stable: Train steps at each size; the last one goes on to the end of the run.
      fade: Train steps in which each size but the first fades in.

    Raises:
      ValueError: If images do not grow to that size.
    """
    stages: list[Stage] = []
    for size in growing_sizes(side):
        for fades, steps in (
            (True, fade if size > FIRST else 0),
            (False, stable),
        ):
            if steps or (size == side and not fades):
                start = stages[-1].start + stages[-1].steps if stages else 0
                stages.append(Stage(size, fades, start, steps))
    return stages


def _factor(rates: Any, stages: Sequence[Stage], size: int) -> float:
    """The factor on the learning rate at a size."""
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in rates):
        raise ValueError(
            f"method.rates is {rates!r}; it must be pairs of a size in pixels and a factor on the "
            "learning rate, such as ((128, 1.5), (256, 2.0))."
        )
    sizes, named = {stage.size for stage in stages}, [pair[0] for pair in rates]
    if len(set(named)) < len(named) or not sizes.issuperset(named):
        raise ValueError(
            f"method.rates is {rates!r}; it may name each of the sizes {sorted(sizes)} once."
        )
    return float(dict(rates).get(size, 1.0))
