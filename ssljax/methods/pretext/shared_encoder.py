"""An encoder that several tasks share: what it is given of unlike inputs, and each task's head.

Doersch and Zisserman, Multi-task Self-Supervised Visual Learning (arXiv:1708.07860), 2017.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ssljax import augment
from ssljax.methods.pretext_task import Encode, Outputs

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Harmony:
    """What makes the inputs of unlike tasks alike, before they reach the encoder.

    Attributes:
      channels: That the encoder takes. An image of one channel has it on all of them.
      grey: Whether an image of several is made grey, the mean of its channels, as well.
      noise: Standard deviation of what is added to each channel of a grey image, if there is a key:
        otherwise all channels are the same.

    Reference:
      Doersch and Zisserman, 2017, section 3: harmonised inputs.
    """

    channels: int
    grey: bool = False
    noise: float = 0.0

    def __call__(
        self, images: Float[Array, "batch height width _"], key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch height width {self.channels}"]:
        """Makes the encoder's input of a task's, with one key for all images or without noise."""
        if images.shape[-1] == self.channels and not self.grey:
            return images
        if images.shape[-1] != 1:
            images = jnp.mean(images, axis=-1, keepdims=True)
        images = jnp.repeat(images, self.channels, axis=-1)
        if key is None or not self.noise:
            return images
        keys = augment.example_keys(key, images.shape[0])
        draw = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:], images.dtype))
        return images + self.noise * draw(keys)


class TrunkWithTask(nn.Module):
    """The encoder that tasks share, with the head of one of them.

    Attributes:
      encoder: The same for all.
      head: See `PretextTask`.
      harmony: What the encoder is given of the task's inputs.
    """

    encoder: nn.Module
    head: nn.Module
    harmony: Harmony

    def __call__(self, inputs: PyTree, train: bool) -> Outputs:
        """Answers questions, as `EncoderWithTask` does."""
        noisy = train and self.has_rng("dropout")

        def encode(images: Array) -> Outputs:
            key = self.make_rng("dropout") if noisy else None
            encoded: Outputs = self.encoder(self.harmony(images, key), train)
            return encoded

        outputs: Outputs = self.head(encode, inputs, train)
        return outputs


class Encoded(nn.Module):
    """The head of no task."""

    def __call__(self, encode: Encode, inputs: Array, train: bool) -> Outputs:
        """Encodes images, and asks nothing."""
        return encode(inputs)
