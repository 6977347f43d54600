"""What BiGAN and BigBiGAN share: an encoder that plays on the generator's side.

The discriminator judges pairs of an image and a code. Real images come with the encoder's codes,
drawn codes with the generator's images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment
from ssljax.methods.adversarial.game import Adversarial, Images, Outputs
from ssljax.methods.adversarial.networks import Weights
from ssljax.methods.contract import Batch, Task, TrainState
from ssljax.ops.resampling import box_down

PyTree = Any
Codes = Float[Array, "batch latent_dim"]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """What the discriminator judges of one batch.

    Attributes:
      real: Images and the encoder's codes.
      fake: The generator's images and the codes that they were made of.
      features: The encoder's, of the real images.
      variables: The collections of generator and encoder, by role, with what the passes changed.
    """

    real: tuple[Images, Codes]
    fake: tuple[Images, Codes]
    features: Float[Array, "batch dim"]
    variables: dict[str, dict[str, PyTree]]


class Inference(Adversarial):
    """Two players, one of which owns both generator and encoder.

    The encoder sees views of `method.view`, normalised as that says. Generator and discriminator
    deal with images in [-1, 1] of `method.image_size` pixels, to which the same views are reduced;
    0 stands for the size of the views. It is the `protocols.Reconstructor` of evaluations.

    Args:
      config: The whole resolved config.
      task: What is known of data and length.
    """

    evaluated = "encoder"
    owned: Mapping[str, tuple[str, ...]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator", "encoder"),
    }

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.view = augment.view_from_config(method.view)
        self.pixel_view = dataclasses.replace(self.view, mean=None, std=None)
        self.policies = [(self.pixel_view, 1)]
        size, channels = self.view.size, task.image_shape[2]
        if method.image_size < 0:
            raise ValueError(
                f"method.image_size is {method.image_size}; it must be 0, for the size of the "
                "encoder's views, or a number of pixels."
            )
        side = method.image_size or size
        if side > size:
            raise ValueError(
                f"method.image_size is {side}, and the encoder's views have {size} pixels: the "
                "images of the generator may be smaller, not larger."
            )
        self.encoder_shape = (size, size, channels)
        super().__init__(config, dataclasses.replace(task, image_shape=(side, side, channels)))
        encoder = self.with_code(self.networks.by_role["encoder"], config)
        by_role = {**self.networks.by_role, "encoder": encoder}
        self.networks = dataclasses.replace(self.networks, by_role=by_role)

    def with_code(self, encoder: nn.Module, config: ConfigDict) -> nn.Module:
        """Puts the layers on an encoder that give its `code`, and perhaps its `deviation`."""
        raise TypeError(f"{type(self).__name__} does not define with_code")

    def inputs(self, role: str) -> tuple[Any, ...]:
        """What the network of a role is called with; one row is enough."""
        if role == "encoder":
            return jnp.zeros((1, *self.encoder_shape)), False
        if role == "discriminator":
            pair = jnp.zeros((1, *self.image_shape)), jnp.zeros((1, self.latent_dim))
            return pair, False
        return super().inputs(role)

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """One view of each image: "seen" by the encoder, and "image" for the discriminator."""
        view = augment.make_view(self.pixel_view, key, batch["images"])
        return {"image": self._reduce(view), "seen": self._normalize(view)}

    def pairs(
        self,
        weights: Mapping[str, Weights],
        views: PyTree,
        key: PRNGKeyArray,
        update_spectral: bool = False,
    ) -> Pairs:
        """One pass of encoder and generator in training mode.

        The encoder sees real images alone.

        Args:
          weights: Of both networks, by role.
          views: What `views` has made.
          key: Of the codes that are drawn.
          update_spectral: Whether the spectral vectors are updated, as in the two networks' own
            update.
        """
        drawn, noise = jax.random.split(key)
        outputs, seen = self.networks.run(
            "encoder", weights["encoder"], views["seen"], update_spectral=update_spectral
        )
        codes = self.sample_codes(outputs, views, noise)
        images, latents, made = self.sample_fakes(
            *weights["generator"], views, drawn, update_spectral=update_spectral
        )
        return Pairs(
            real=(views["image"], codes),
            fake=(images, latents["noise"]),
            features=outputs["features"],
            variables={
                "generator": {**weights["generator"][1], **made},
                "encoder": {**weights["encoder"][1], **seen},
            },
        )

    def sample_codes(self, outputs: Outputs, views: PyTree, key: PRNGKeyArray) -> Codes:
        """The codes that the discriminator judges, by the encoder's outputs."""
        return outputs["code"]

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """The encoder's outputs for whole images, layer by layer, down to its "code"."""
        params, variables = self.trained_weights(state)
        outputs: Any = self.networks.by_role["encoder"].apply(
            {"params": params, **variables},
            self._normalize(augment.center_view(self.pixel_view, images)),
            False,
        )
        return dict(outputs)

    def targets(self, images: Array) -> Float[Array, "batch side side channels"]:
        """What the reconstructions of raw images should be, in [-1, 1]."""
        return self._reduce(augment.center_view(self.pixel_view, images))

    def reconstruct(
        self, state: TrainState, images: Array
    ) -> Float[Array, "batch side side channels"]:
        """The evaluated generator's images of the evaluated encoder's codes, in [-1, 1]."""
        return self.generate(state, {"noise": self.features(state, images)["code"]})

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """The encoder, or its average where there is one, with the layers of its code."""
        if "encoder" not in self.averages:
            return self.networks.weights(state, "encoder")
        average = dict(state.memory["encoder"])
        return average.pop("params"), average

    def _reduce(self, view: Images) -> Float[Array, "batch side side channels"]:
        """Brings images in [0, 1] to the generator's size and range."""
        side, size = self.image_shape[0], view.shape[1]
        if size % side == 0:
            view = box_down(view, size // side)
        else:
            view = augment.resize(view, (side, side))
        return augment.tanh_range(view)

    def _normalize(self, view: Images) -> Images:
        if self.view.mean is None or self.view.std is None:
            return view
        return augment.normalize(view, self.view.mean, self.view.std)


def plain_view(size: int, **changes: Any) -> ConfigDict:
    """The keys of a view of whole images of this size, some of them changed."""
    view = augment.ViewPolicy(size, crop_scale=None, flip_p=0.0)
    return ConfigDict(dataclasses.asdict(dataclasses.replace(view, **changes)))
