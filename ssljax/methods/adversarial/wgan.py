"""WGAN: a critic that estimates a distance, its weights clipped to keep its slope bounded.

Arjovsky et al., Wasserstein GAN, 2017.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from jaxtyping import Array, Bool, Int
from ml_collections import ConfigDict

from ssljax import losses
from ssljax.methods.adversarial.game import Adversarial
from ssljax.methods.contract import Task

LONG = 100
"""The critic's updates before a generator update that it is well trained for."""
FIRST = 25
"""Generator updates, from the first on, that are all such ones."""
EVERY = 500
"""Later every so many-th is one: those with the numbers 500, 1000, ..., counted from 0."""


class WGAN(Adversarial):
    """Clips the critic before each of its updates, and makes the generator wait for it.

    A train step is `discriminator_steps` updates of the critic. The generator is not updated until
    the critic has had its 100 updates, and otherwise is in every train step.
    """

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values."""
        config = Adversarial.default_config()
        config.update(latent_dim=100, discriminator_steps=5)
        config.clip = 0.01
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task, "wasserstein")
        critic, generator = self.players
        clip, wait = config.method.clip, -(-LONG // config.method.discriminator_steps)
        self.players = (
            dataclasses.replace(critic, project=lambda params: losses.clip_weights(params, clip)),
            dataclasses.replace(generator, active=_patient(wait)),
        )


def _patient(wait: int) -> Callable[[Int[Array, ""]], Bool[Array, ""]]:
    """Train steps in which the generator is updated.

    Args:
      wait: When the generator waits, the train steps of which it is updated only in the last.

    Reference:
      Arjovsky et al., Wasserstein GAN, 2017, the authors' code.
    """
    start = FIRST * wait
    """First train step at which it no longer waits each time."""
    first_cycle = start + EVERY - FIRST
    cycle = wait + EVERY - 1

    def active(step: Int[Array, ""]) -> Bool[Array, ""]:
        waiting = step % wait == wait - 1
        since = (step - first_cycle) % cycle
        return ((step < start) & waiting) | (
            (step >= start) & ((step < first_cycle) | (since >= wait - 1))
        )

    return active
