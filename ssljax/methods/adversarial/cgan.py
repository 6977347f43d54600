"""The conditional GAN with a projection discriminator: images of a wanted class.

Miyato and Koyama, cGANs with Projection Discriminator, 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ml_collections import ConfigDict

from ssljax import models
from ssljax.methods.adversarial.game import Adversarial
from ssljax.methods.contract import Feed, Task


class CGAN(Adversarial):
    """The hinge loss, and classes in both networks.

    The generator's conditional batch norm has a scale and a bias for each class; the
    discriminator's logit is phi(x) . V(y) + psi(phi(x)). Classes of generated images are drawn
    uniformly.
    """

    roles: ClassVar = {
        "generator": models.GENERATOR.with_options(name="sngan", norm="conditional"),
        "discriminator": models.DISCRIMINATOR.with_options(
            name="sngan", norm="none", spectral_norm=True
        ),
    }

    @staticmethod
    def default_config() -> ConfigDict:
        """The authors' values for CIFAR-10."""
        config = Adversarial.default_config()
        config.loss = "hinge"
        config.update(discriminator_steps=5, generator_batch=2)
        return config

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """Images with their labels: both networks receive the class of every image."""
        return {"images": Feed(("image", "label"), unlabelled="refused")}

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task, config.method.loss, conditional=True)
