"""What a pretext task is: a question about images that the images themselves answer.

A task makes its questions, has a head that answers them from what an encoder sees, and marks the
answers. `pretext_method.PretextMethod` is the method of one task; several can share an encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment
from ssljax.methods.contract import Task

PyTree = Any
Outputs = dict[str, Array]
Encode = Callable[[Array], Outputs]
"""Images (batch, height, width, channels) to an encoder's named outputs; see `build_encoder`."""


class Question(NamedTuple):
    """What is asked about a batch of images. Every array has a row for each image.

    Attributes:
      inputs: What the network is given.
      targets: What only the loss, the scores and the pictures read.
    """

    inputs: PyTree
    targets: PyTree = ()


class PretextTask:
    """Base of all pretext tasks. A subclass sets the attributes in `__init__`.

    Args:
      config: The task's own keys: those of `default_config`.
      task: What is known of data and length.
      dtype: Compute type of the head.

    Attributes:
      fields: What is taken of each record of the data: "image" or "clip", and perhaps "index",
        "label" or "mask".
      frames: Of the clips that are asked about, whose field is "clip"; 0 for images.
      encoder_options: Attributes that the encoder must have, such as a `norm` without batches; they
        are left unread where the encoder has no such attribute.
      view: How whole images are brought to the encoder's size and range.
      policies: As in `contract.Method`, where the views of `ask` are crops of one image each.
      head: A module, called as `head(encode, inputs, train)`, that returns named outputs, one row
        an image. Among them is "features" (batch, dim): the encoder's of the image or of one part.
      chance: Each of the scores, and what a guess without looking has of it; NaN where that depends
        on the images, see `guess`. More is better.
      seen_only: Whether only images of the training set can be asked about.
      maps_have_places: Whether the places of the maps of `features` are those of the whole images.
    """

    fields: ClassVar[tuple[str, ...]] = ("image",)
    frames: int = 0
    encoder_options: Mapping[str, Any] = {}
    view: augment.ViewPolicy
    policies: Sequence[tuple[augment.ViewPolicy, int]] = ()
    head: nn.Module
    chance: Mapping[str, float]
    seen_only: bool = False
    maps_have_places: bool = True

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        """Builds the head."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The task's own keys, at the values of its paper."""
        raise TypeError("A task needs its keys.")

    def wrap(self, encoder: nn.Module) -> nn.Module:
        """Makes the network that plays the encoder's part, such as two halves of it."""
        return encoder

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Makes questions about images; runs inside the jitted step.

        Args:
          key: Of the batch. What is asked about image i depends on it, on i and the image alone.
          images: The fields of a batch; "image" is uint8, (batch, height, width, channels), and
            "clip" (batch, frames, height, width, channels).
        """
        raise TypeError(f"{type(self).__name__} does not define ask")

    def loss(self, outputs: Outputs, targets: PyTree) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The loss of the head's answers, a mean over the batch, and scalars for the log."""
        raise TypeError(f"{type(self).__name__} does not define loss")

    def scores(self, outputs: Outputs, targets: PyTree) -> dict[str, Float[Array, " batch"]]:
        """Marks the answer about each image; the names are those of `chance`."""
        raise TypeError(f"{type(self).__name__} does not define scores")

    def guess(self, question: Question) -> dict[str, Float[Array, " batch"]]:
        """The marks of a guess without looking, where `chance` has a NaN."""
        raise TypeError(f"{type(self).__name__} does not define guess")

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """Shows, in [0, 1], what is seen of each image, what is said and what would be right."""
        raise TypeError(f"{type(self).__name__} does not define picture")

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """What probes read of whole images: by default the encoder's outputs for them."""
        return encode(augment.center_view(self.view, images))

    def to_pixels(
        self, images: Float[Array, "*batch height width channels"]
    ) -> Float[Array, "*batch height width channels"]:
        """Undoes the view's normalisation, for pictures; what leaves [0, 1] is clipped."""
        return jnp.clip(augment.denormalize_view(self.view, images), 0.0, 1.0)


class EncoderWithTask(nn.Module):
    """An encoder, and the head of one task.

    Attributes:
      encoder: The network that is trained for its features.
      head: See `PretextTask`.
    """

    encoder: nn.Module
    head: nn.Module

    def __call__(self, inputs: PyTree, train: bool) -> Outputs:
        """Answers questions.

        Args:
          inputs: Those of a `Question`.
          train: Whether norms use and update batch statistics, and dropout is on.

        Returns:
          The head's outputs.
        """
        outputs: Outputs = self.head(lambda images: self.encoder(images, train), inputs, train)
        return outputs


def encode_each(encode: Encode, images: Float[Array, "batch parts h w c"]) -> Outputs:
    """Encodes several views or parts of each image in one pass, with common batch statistics.

    Args:
      encode: The encoder.
      images: The parts of each image lie side by side, so that nothing moves between devices.

    Returns:
      Every output, as (batch, parts, ...).
    """
    batch, parts, *shape = images.shape
    outputs = encode(images.reshape(batch * parts, *shape))
    return {name: x.reshape(batch, parts, *x.shape[1:]) for name, x in outputs.items()}


def output_of(outputs: Outputs, name: str) -> Array:
    """The encoder's output that a task's key `layer` names.

    Raises:
      ValueError: If the encoder has no such output.
    """
    if name not in outputs:
        raise ValueError(
            f"method.layer is {name!r}: it must be one of the encoder's {', '.join(outputs)}."
        )
    return outputs[name]
