"""DiscoGAN: relations between two domains, found by translating each into the other and back.

Kim et al., Learning to Discover Cross-Domain Relations with Generative Adversarial Networks, 2017.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.methods.contract import Aux, Task, Turn, every
from ssljax.methods.translation.two_domains import OTHER, TwoDomains

PyTree = Any
Images = Float[Array, "batch height width channels"]


class DiscoGAN(TwoDomains):
    """In a train step either the discriminators are updated, or the generators are.

    As in the authors' code every third step is the discriminators'; the generators match the batch
    means of their normed layers, after the LeakyReLU, and are held to the way back by its share of
    the loss. A share of 0 leaves the way back out, as does the paper's standard GAN of one way.

    An online probe sees features in the discriminators' steps alone: in the others it is given
    zeros, from which its bias learns how frequent the classes are.

    The authors translate test images with the statistics of their batch, and here the running ones
    of the training images are taken.
    """

    roles: ClassVar = {
        "generator": models.Role(
            kind="generator of translations",
            networks={"discogan": models.DiscoGANTranslator},
            options=dict(name="discogan", width=1.0, dtype="float32"),
        ),
        "discriminator": models.Role(
            kind="discriminator of translations",
            networks={"discogan": models.DiscoGANDiscriminator},
            options=dict(name="discogan", width=1.0, dtype="float32"),
        ),
    }

    @staticmethod
    def default_config() -> ConfigDict:
        """The values of the authors' code, whose images are not augmented."""
        config = TwoDomains.default_config()
        config.discriminator_every = 3  # Steps, of which the others are the generators'.
        config.starting_rate = 0.01  # Share of the way back at first,
        config.curriculum_steps = 10_000  # for so many steps,
        config.default_rate = 0.5  # and afterwards.
        config.view = dataclasses.asdict(
            augment.ViewPolicy(size=64, crop_scale=None, flip_p=0.0, mean=None, std=None)
        )
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        method = config.method
        if method.discriminator_every < 2:
            raise ValueError(
                f"method.discriminator_every is {method.discriminator_every}; it must be 2 or more,"
                " as the generators have the steps between."
            )
        for key in ("starting_rate", "default_rate"):
            if not 0.0 <= method[key] <= 1.0:
                raise ValueError(f"method.{key} is {method[key]}; it is a share, from 0 to 1.")
        self.rates = method.starting_rate, method.default_rate
        self.curriculum_steps = method.curriculum_steps
        generators, discriminators = self.players
        turns = every(method.discriminator_every)
        self.players = (
            dataclasses.replace(generators, active=lambda step: ~turns(step)),
            dataclasses.replace(discriminators, active=turns),
        )

    def to_range(self, images: Images) -> Images:
        """The networks have [0, 1]."""
        return images

    def from_range(self, images: Images) -> Images:
        """Brings [0, 1] to [-1, 1]."""
        return augment.tanh_range(images)

    def rate(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Share of the way back in the generators' loss at a train step."""
        starting, default = self.rates
        return jnp.where(step < self.curriculum_steps, starting, default).astype(jnp.float32)

    def generators_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """See `losses.discogan_generator`, for both domains."""
        has_way_back = max(self.rates) > 0.0
        fakes, again, changed = self.translate_all(params, turn, back=has_way_back)
        rate = self.rate(turn.state.step)
        loss = reconstruction = jnp.float32(0.0)
        for domain in OTHER:
            role = f"of_{domain}"
            frozen = self.networks.weights(turn.state, role)
            real_outputs, _ = self.run(role, frozen, turn.views[domain])
            fake_outputs, _ = self.run(role, frozen, fakes[domain])
            error = jnp.float32(0.0)
            if has_way_back:
                error = losses.pixel_squared_error(again[domain], turn.views[domain])
            loss += losses.discogan_generator(
                fake_outputs["logits"],
                normed_layers(real_outputs),
                normed_layers(fake_outputs),
                error,
                rate,
            )
            reconstruction += error
        terms = {"reconstruction": reconstruction, "rate": rate}
        return loss, Aux(variables=changed, metrics=terms)

    def discriminators_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Half the logistic loss, on translations that the generators now make."""
        fakes, _, _ = self.translate_all(turn.state.params["generators"], turn, back=False)
        loss, aux = self.judge(params, turn, fakes, _half_logistic, 0.0)
        return loss, aux.replace(metrics=aux.metrics | self.health(fakes, turn))


def normed_layers(outputs: dict[str, Array]) -> list[Array]:
    """The activations of a discriminator that come after a norm: all but the first layer's."""
    return [x for name, x in outputs.items() if name.startswith("block") and name != "block1"]


def _half_logistic(real: Array, fake: Array) -> Array:
    return losses.logistic_discriminator(real, fake) / 2
