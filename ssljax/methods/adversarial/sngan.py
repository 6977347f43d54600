"""SNGAN: spectral norm keeps the slope of every layer of the discriminator at 1.

Miyato et al., Spectral Normalization for Generative Adversarial Networks, 2018.
"""

from __future__ import annotations

from typing import ClassVar

from ml_collections import ConfigDict

from ssljax import models
from ssljax.methods.adversarial.game import Adversarial
from ssljax.methods.contract import Task


class SNGAN(Adversarial):
    """The hinge loss between residual networks.

    The vectors of the spectral norms are updated once in each of the discriminator's updates, in
    the pass over the real images, and nowhere else.
    """

    roles: ClassVar = {
        "generator": models.GENERATOR.with_options(name="sngan"),
        "discriminator": models.DISCRIMINATOR.with_options(
            name="sngan", norm="none", spectral_norm=True
        ),
    }

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for residual networks on CIFAR-10."""
        config = Adversarial.default_config()
        config.loss = "hinge"
        config.update(discriminator_steps=5, generator_batch=2)
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task, config.method.loss)
