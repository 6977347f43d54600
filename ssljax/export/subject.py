"""What is exported: a method with its trained state, and what it sees of images."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from ssljax import augment
from ssljax.errors import UserError, first_line
from ssljax.evals import pool
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.frozen_encoder import encoder_of
from ssljax.methods.pretext_method import encoder_weights

_log = logging.getLogger(__name__)


class Encoder(NamedTuple):
    """An encoder that is given whole normalised images.

    Attributes:
      network: The module.
      variables: Its collections.
      view: What it sees of an image: size, interpolation, mean and deviation.
    """

    network: nn.Module
    variables: dict[str, Any]
    view: augment.ViewPolicy


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is exported.

    Attributes:
      config: The resolved config.
      method: The method, with the graph of the state's step.
      state: Its trained state, on one device.
      image_shape: (height, width, channels) of the images as they are read.
    """

    config: ConfigDict
    method: Method
    state: TrainState
    image_shape: tuple[int, int, int]

    @property
    def step(self) -> int:
        """Finished train steps."""
        return int(self.state.step)

    @property
    def stage(self) -> str:
        """The layer that is exported: the first that the run's evaluations read."""
        return str(self.config.evals.stages[0])

    def encoder(self) -> Encoder:
        """The encoder alone, for formats that have weights and no program.

        Raises:
          UserError: If it is not given whole normalised images.
        """
        name = self.config.method.name
        try:
            found = encoder_of(self.method)
        except ValueError as error:
            raise UserError(f"{first_line(error).rstrip('.')}, {_OTHERS}") from error
        if found is None:
            raise UserError(f"The method {name} has no encoder of whole images, {_OTHERS}")
        variables = encoder_weights(*self.method.trained_weights(self.state))
        return Encoder(found.network, variables, found.view)

    def embed(
        self,
    ) -> Callable[[UInt8[Array, "batch height width channels"]], Float[Array, "batch dim"]]:
        """The function from raw images to the vectors that the run's probes read."""
        evals = self.config.evals

        def embed(images: Array) -> Array:
            outputs = self.method.features(self.state, images)
            if self.stage not in outputs:
                raise UserError(
                    f"config.evals.stages names {self.stage!r}, which the network does not have: "
                    f"choose one of {', '.join(outputs)}."
                )
            return pool(outputs[self.stage], evals.pool_values, evals.pool)

        return embed

    def abstract_images(self) -> jax.ShapeDtypeStruct:
        """The shape of raw images in a batch of any size, or of 1 where the network has but one."""
        (batch,) = jax.export.symbolic_shape("batch")
        images = jax.ShapeDtypeStruct((batch, *self.image_shape), jnp.uint8)
        try:
            jax.eval_shape(self.embed(), images)
        except UserError:
            raise
        except Exception as error:  # Each operation has its own.
            _log.warning(
                "The network cannot be traced for batches of any size (%s): they are of 1 image.",
                first_line(error),
            )
            return jax.ShapeDtypeStruct((1, *self.image_shape), jnp.uint8)
        return images


_OTHERS = "which this format is for: set config.export.format=stablehlo, or onnx."


_RESIZES = {
    "short_side": "Of an image the central square is seen.",
    "exact": "An image is squashed to a square, whatever its aspect.",
    "pad": "An image is seen whole, with black bars beside it where it is no square.",
    "none": "Images are squares.",
}


def told(subject: Subject) -> tuple[str, ...]:
    """What becomes of an image as it is read, as sentences: `data.resize` and `data.range`."""
    keys = subject.config.data
    sentences: tuple[str, ...] = (_RESIZES[keys.resize],)
    if keys.range:
        low, high = keys.range
        sentences += (
            f"Its numbers are brought to bytes before: {low:g} and what is below become 0, "
            f"{high:g} and what is above 255, the others linearly.",
        )
    return sentences


def shown_share(view: augment.ViewPolicy, image_shape: tuple[int, int, int]) -> float:
    """The share of an image's shorter side that is seen: see `augment.center_view`."""
    return view.size / max(view.size, min(*image_shape[:2], round(view.size * 8 / 7)))
