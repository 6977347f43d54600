"""CycleGAN: what is translated and translated back must be what it was.

Zhu et al., Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, 2017.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.methods.contract import Aux, Task, Turn
from ssljax.methods.translation.two_domains import OTHER, TwoDomains
from ssljax.ops.image_pool import empty_pool, exchange

PyTree = Any


class CycleGAN(TwoDomains):
    """Both generators are updated, then both discriminators, on a pool of earlier translations.

    The discriminators judge the translations that the generators made before their update. The
    pool, one for each domain, is one for all devices: a batch of translations goes to each of them.

    Norms are over single images, and have no running statistics. With a batch of 1, as the authors
    have, there is nothing that several devices could share.
    """

    roles: ClassVar = {
        "generator": models.Role(
            kind="generator of translations",
            networks={"residual": models.ResidualTranslator},
            options=dict(name="residual", width=1.0, blocks=0, norm="", dtype="float32"),
        ),
        "discriminator": models.PATCH_DISCRIMINATOR,
    }

    @staticmethod
    def default_config() -> ConfigDict:
        """The values of the authors' code; the paper has the identity for paintings alone."""
        config = TwoDomains.default_config()
        config.cycle_weight = 10.0
        config.identity_weight = 0.5  # Times cycle_weight: images of the target stay as they are.
        config.pool_size = 50  # Earlier translations of each domain; 0: only new ones are judged.
        config.view = dataclasses.asdict(cut_of_286())
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        method = config.method
        self.cycle_weight = method.cycle_weight
        self.identity_weight = method.identity_weight * method.cycle_weight
        self.pool_size = method.pool_size

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the four networks, and the pools without images."""
        params, variables, memory = super().init(key)
        if self.pool_size:
            shape = (self.view.size, self.view.size, self.channels)
            memory["pools"] = {domain: empty_pool(self.pool_size, shape) for domain in OTHER}
        return params, variables, memory

    def generators_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Least squares from 1, the way back, and images of the target that are to stay."""
        own, real = turn.state.variables["generators"], turn.views
        fakes, again, changed = self.translate_all(params, turn, back=self.cycle_weight > 0)
        terms = dict.fromkeys(("gan", "cycle", "identity"), jnp.float32(0.0))
        for domain in OTHER:
            role = f"to_{domain}"
            frozen = self.networks.weights(turn.state, f"of_{domain}")
            outputs, _ = self.run(f"of_{domain}", frozen, fakes[domain])
            # Of a generator the whole of the squares counts, and half of a discriminator's.
            terms["gan"] += 2 * losses.least_squares_generator(outputs["logits"])
            if self.cycle_weight > 0:
                terms["cycle"] += losses.pixel_absolute_error(again[domain], real[domain])
            if self.identity_weight > 0:
                same, _ = self.run(role, (params[role], own[role]), real[domain])
                terms["identity"] += losses.pixel_absolute_error(same, real[domain])
        loss = terms["gan"] + self.cycle_weight * terms["cycle"]
        loss += self.identity_weight * terms["identity"]
        return loss, Aux(variables=changed, metrics=terms, carry={"fakes": fakes})

    def discriminators_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Half the least squares from 1 for real images, from 0 for those that the pool gives."""
        fakes = turn.carried["fakes"]
        shown, memory = fakes, {}
        if self.pool_size:
            shown, pools = {}, {}
            for number, domain in enumerate(OTHER):
                shown[domain], pools[domain] = exchange(
                    turn.state.memory["pools"][domain],
                    fakes[domain],
                    jax.random.fold_in(turn.key, number),
                )
            memory = {"pools": pools}
        loss, aux = self.judge(params, turn, shown, losses.least_squares_discriminator, 0.5)
        return loss, aux.replace(metrics=aux.metrics | self.health(fakes, turn), memory=memory)


def cut_of_286() -> augment.ViewPolicy:
    """A random square of 256 pixels of an image that has 286, and a flip."""
    return augment.ViewPolicy(
        size=256, crop_scale=((256 / 286) ** 2,) * 2, crop_ratio=(1.0, 1.0), flip_p=0.5
    )
