"""WGAN-GP: the critic's slope is held near 1 between real and generated images.

Gulrajani et al., Improved Training of Wasserstein GANs, 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import losses, models
from ssljax.methods.adversarial.game import Adversarial, Images
from ssljax.methods.contract import Task


class WGANGP(Adversarial):
    """The Wasserstein loss with a gradient penalty; no batch norm in the critic."""

    roles: ClassVar = {
        "generator": models.GENERATOR.with_options(name="wgan_gp"),
        "discriminator": models.DISCRIMINATOR.with_options(name="wgan_gp", norm="none"),
    }

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for residual networks on CIFAR-10."""
        config = Adversarial.default_config()
        config.penalty_weight = 10.0
        config.update(discriminator_steps=5, generator_batch=2)
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        if config.model.discriminator.norm == "batch":
            raise ValueError(
                "model.discriminator.norm is 'batch', and a gradient penalty is for each image "
                "alone: choose 'none' or 'layer'."
            )
        super().__init__(config, task, "wasserstein")
        self.penalty_weight = config.method.penalty_weight

    def penalties(
        self, critic: Callable[[Array], Array], real: Images, fake: Images, key: PRNGKeyArray
    ) -> dict[str, Array]:
        """The gradient penalty, weighted."""
        penalty = losses.interpolated_gradient_penalty(critic, real, fake, key)
        return {"gradient_penalty": self.penalty_weight * penalty}
