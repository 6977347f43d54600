"""DCGAN: the plain game between two convolutional networks, with any of the GAN losses.

Radford et al., Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, 2016. Goodfellow et al., Generative Adversarial Nets, 2014, has the losses "minimax" and
"non_saturating", and Mao et al., Least Squares Generative Adversarial Networks, 2017, the third.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from ssljax.methods.adversarial.game import Adversarial
from ssljax.methods.contract import Task


class DCGAN(Adversarial):
    """Batch norm in both networks, over real and generated images separately."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values."""
        config = Adversarial.default_config()
        config.loss = "non_saturating"  # Or another key of `losses.GAN_LOSSES`.
        config.update(latent_dim=100, prior="uniform")
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task, config.method.loss)
