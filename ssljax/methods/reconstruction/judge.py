"""The second player where an image is restored: a discriminator of restored and original images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import losses, models, optimizers
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Player, Task, TrainState, Turn
from ssljax.methods.reconstruction.decoding import Images

PyTree = Any
_GAME = losses.GAN_LOSSES["non_saturating"]
_NAME = "discriminator"
_RESTORED = "restored"


class Judge:
    """A discriminator, its player, and what it says of restored images.

    The first player carries what it has restored, so that both learn from one pass of its network,
    and it learns against the discriminator as that was before the step.

    Args:
      role: `models.DISCRIMINATOR`, with the method's defaults.
      config: The whole resolved config.
      task: What is known of data and length.
      side: Of the images that it judges.
      rate: Its learning rate, as a multiple of `config.optimizer.learning_rate`.
    """

    def __init__(
        self, role: models.Role, config: ConfigDict, task: Task, side: int, rate: float
    ) -> None:
        if rate <= 0:
            raise ValueError(f"method.discriminator_rate is {rate}; it must be above 0.")
        self.network = role.from_config(config.model.discriminator)
        self.image_shape = (side, side, task.image_shape[-1])
        settings = config.optimizer.to_dict()
        settings["learning_rate"] *= rate
        settings["end_value"] *= rate
        self.optimizer = optimizers.build(
            settings,
            total_steps=task.total_steps,
            steps_per_epoch=task.steps_per_epoch,
            batch_size=task.batch_size,
        )

    def init(self, key: PRNGKeyArray) -> tuple[PyTree, dict[str, PyTree]]:
        """Its parameters and its other collections."""
        return passes.init(self.network, jax.random.fold_in(key, 1), self.image_shape)

    def player(
        self, originals: Callable[[Turn], Images], project: Callable[[PyTree], PyTree] | None = None
    ) -> Player:
        """Its player, which follows the one that carries what it has restored.

        Args:
          originals: Gives the original images, in [-1, 1].
          project: See `Player`.
        """

        def loss(params: PyTree, turn: Turn) -> tuple[Array, Aux]:
            own = turn.state.variables[_NAME]
            real, variables = self._pass(params, own, originals(turn), turn.key, held=())
            fake, _ = self._pass(params, own | variables, turn.carried[_RESTORED], turn.key)
            logged = {
                "accuracy_real": jnp.mean((real > 0).astype(jnp.float32)),
                "accuracy_fake": jnp.mean((fake < 0).astype(jnp.float32)),
            }
            return _GAME.discriminator(real, fake), Aux(variables=variables, metrics=logged)

        optimizer = self.optimizer
        return Player(
            _NAME, loss, optimizer.tx, optimizer.schedule, beside=_RESTORED, project=project
        )

    def join(
        self,
        loss: Array,
        weight: float,
        adversarial_weight: float,
        aux: Aux,
        restored: Images,
        turn: Turn,
    ) -> tuple[Array, Aux]:
        """Adds to the first player's loss how surely its images are taken for restored.

        Args:
          loss: What it has without a judge.
          weight: The factor on that.
          adversarial_weight: The factor on what is added.
          aux: Of the loss.
          restored: Its images in [-1, 1].
          turn: Its turn.

        Returns:
          The sum, and what is logged and carried.
        """
        state: TrainState = turn.state
        logits, _ = self._pass(state.params[_NAME], state.variables[_NAME], restored, turn.key)
        adversarial = _GAME.generator(logits)
        return weight * loss + adversarial_weight * adversarial, aux.replace(
            metrics=aux.metrics | {"content": loss, "adversarial": adversarial},
            carry=aux.carry | {_RESTORED: restored},
        )

    def _pass(
        self,
        params: PyTree,
        variables: Mapping[str, PyTree],
        images: Images,
        key: PRNGKeyArray,
        held: tuple[str, ...] = ("spectral",),
    ) -> tuple[Float[Array, " batch"], dict[str, PyTree]]:
        outputs, changed = passes.forward(self.network, params, variables, images, key, held)
        return outputs["logits"], changed
