"""pix2pix: translation that is learnt from pairs, judged beside what is translated.

Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, 2017.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.methods import passes
from ssljax.methods.adversarial.networks import Networks
from ssljax.methods.contract import Aux, Batch, Method, Task, TrainState, Turn
from ssljax.methods.translation.cyclegan import cut_of_286
from ssljax.methods.translation.two_domains import (
    collapse,
    known_rule,
    pixel_view,
    player,
    resized,
    told_apart,
)

PyTree = Any
Images = Float[Array, "batch height width channels"]

DIRECTIONS = ("A to B", "B to A")


class Pix2Pix(Method):
    """A generator, and a discriminator of patches that is shown the input as well.

    An image of the data is a pair: its left half is of domain A, its right half of domain B, and
    each is twice as high as wide, since images are brought to squares (`data.resize` "exact"). The
    halves become squares of half the image's side, which is why `data.image_size` is twice theirs.
    With `method.rule` an image of the data is of domain A, and the rule, see
    `ssljax.ops.known_mappings`, makes the other one of its pair.

    The discriminator is updated first, then the generator, both on the same translations.
    Evaluations score pairs, in the form of the data; `translate` is given the inputs alone.
    """

    roles: ClassVar = {
        "generator": models.Role(
            kind="generator of translations",
            networks={"unet": models.UNetTranslator},
            options=dict(name="unet", width=1.0, norm="", dtype="float32"),
        ),
        "discriminator": models.PATCH_DISCRIMINATOR.with_options(norm="batch"),
    }
    evaluated = "discriminator"

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        if method.direction not in DIRECTIONS:
            raise ValueError(
                f"method.direction is {method.direction!r}; it must be one of "
                f"{', '.join(DIRECTIONS)}."
            )
        self.direction, self.l1_weight = method.direction, method.l1_weight
        self.rule = None if method.rule == "none" else known_rule(method.rule, "method.rule")
        self.view, self.channels = pixel_view(config), task.image_shape[2]
        generator, discriminator = self.roles["generator"], self.roles["discriminator"]
        self.networks = Networks(
            by_role={
                "generator": generator.from_config(
                    config.model.generator, image_channels=self.channels
                ),
                "discriminator": discriminator.from_config(config.model.discriminator),
            },
            owned={role: (role,) for role in self.roles},
        )
        self.players = (
            player("discriminator", self.discriminator_loss, config, task),
            player("generator", self.generator_loss, config, task),
        )

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values."""
        return ConfigDict(
            dict(
                direction="A to B",  # Or "B to A".
                rule="none",  # That makes B of A; "none": each image is a pair.
                l1_weight=100.0,
                view=dataclasses.asdict(cut_of_286()),
            )
        )

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes both networks."""
        shape = (1, self.view.size, self.view.size, self.channels)
        one, pair = jnp.zeros(shape), jnp.zeros((*shape[:3], 2 * self.channels))
        params, variables, _ = self.networks.init(
            key, lambda role: (one if role == "generator" else pair, False)
        )
        return params, variables, {}

    def views(self, key: PRNGKeyArray, batch: Batch) -> dict[str, Array]:
        """The two images of each pair, cut and flipped as one, and the key of what is dropped."""
        pair = jnp.concatenate(self.halves(batch["images"]["image"]), axis=-1)
        cut = augment.tanh_range(augment.augment_view(self.view, key, pair))
        given, wanted = jnp.split(cut, 2, axis=-1)
        return {"input": given, "target": wanted, "dropout": jax.random.fold_in(key, 1)}

    def halves(self, images: Array) -> tuple[Array, Array]:
        """Parts pairs into inputs and targets, or makes one of the other by the rule, as bytes."""
        pair = augment.split_pairs(images) if self.rule is None else (images, self.rule(images))
        return pair if self.direction == "A to B" else pair[::-1]

    def make(self, params: PyTree, turn: Turn) -> tuple[Images, dict[str, PyTree]]:
        """The translations in training mode, the same for both players, and what they changed."""
        made, changed = passes.forward(
            self.networks.by_role["generator"],
            params,
            turn.state.variables["generator"],
            turn.views["input"],
            turn.views["dropout"],
        )
        return made, changed

    def discriminate(
        self, params: PyTree, turn: Turn, images: Images
    ) -> tuple[dict[str, Array], dict[str, PyTree]]:
        """The discriminator's outputs for images beside their inputs, and what the pass changed."""
        outputs, changed = passes.forward(
            self.networks.by_role["discriminator"],
            params,
            turn.state.variables["discriminator"],
            jnp.concatenate([turn.views["input"], images], axis=-1),
        )
        return outputs, changed

    def discriminator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Half the logistic loss; running statistics are those of the real pairs."""
        fake, _ = self.make(turn.state.params["generator"], turn)
        real_outputs, changed = self.discriminate(params, turn, turn.views["target"])
        fake_outputs, _ = self.discriminate(params, turn, fake)
        real_logits, fake_logits = real_outputs["logits"], fake_outputs["logits"]
        loss = losses.logistic_discriminator(real_logits, fake_logits) / 2
        seen = told_apart(real_logits, fake_logits, 0.0) | collapse(fake, turn.views["target"])
        carry = {"features": real_outputs["features"]}
        return loss, Aux(variables=changed, metrics=seen, carry=carry)

    def generator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """To be taken for real, and near the target."""
        fake, changed = self.make(params, turn)
        outputs, _ = self.discriminate(turn.state.params["discriminator"], turn, fake)
        game = losses.non_saturating_generator(outputs["logits"])
        error = losses.pixel_absolute_error(fake, turn.views["target"])
        terms = {"gan": game, "l1": error}
        return game + self.l1_weight * error, Aux(variables=changed, metrics=terms)

    def whole(self, images: Array) -> Images:
        """Raw images as the networks take them, resized to the size of the views."""
        return augment.tanh_range(resized(self.view, images))

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """The discriminator's activations, layer by layer, for pairs in the form of the data."""
        params, variables = self.trained_weights(state)
        pair = jnp.concatenate([self.whole(half) for half in self.halves(images)], axis=-1)
        outputs: Any = self.networks.by_role["discriminator"].apply(
            {"params": params, **variables}, pair, False
        )
        return {name: x for name, x in outputs.items() if name != "logits"}

    def translations(self) -> tuple[str, ...]:
        """The one that is learnt."""
        return (self.direction,)

    def translate(self, state: TrainState, images: Array, way: str) -> Images:
        """Makes the translation of each image in [-1, 1], in evaluation mode.

        Args:
          state: Training state.
          images: Uint8, inputs alone. They are translated at the size of the views, and given the
            size they had.
          way: The one of `translations`.

        Raises:
          ValueError: If there is no such way, or the images are not bytes.
        """
        if way != self.direction:
            raise ValueError(f"There is no translation {way!r}; there is {self.direction}.")
        params, variables = self.networks.weights(state, "generator")
        made: Any = self.networks.by_role["generator"].apply(
            {"params": params, **variables}, self.whole(images), False
        )
        return augment.resize(made, (images.shape[1], images.shape[2]))

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """The discriminator."""
        return self.networks.weights(state, "discriminator")
