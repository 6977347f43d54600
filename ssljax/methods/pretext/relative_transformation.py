"""Autoencoding transformations (AET): how has an image been transformed?

Zhang, Qi, Wang and Luo, AET vs. AED: Unsupervised Representation Learning by Auto-Encoding
Transformations rather than Data, 2019.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses
from ssljax.augment.parametric import Affine, Projective, Transformation
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question, encode_each

TRANSFORMATIONS: dict[str, type[Affine] | type[Projective]] = {
    "affine": Affine,
    "projective": Projective,
}
_DRAWN = 8192
"""Transformations by which the variance of the parameters is known."""


class RelativeTransformationHead(nn.Module):
    """A linear layer on the features of both images, side by side.

    Attributes:
      count: Parameters of a transformation.
      bounded: Whether a tanh keeps them in [-1, 1].
      dtype: Type of the arithmetic.
    """

    count: int
    bounded: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, encode: Encode, inputs: Float[Array, "batch 2 side side channels"], train: bool
    ) -> Outputs:
        """Tells the parameters.

        Args:
          encode: The encoder.
          inputs: Each image as it was, and transformed.
          train: Unread; there is nothing that differs.

        Returns:
          "parameters" (batch, count); "features" (batch, dim) of the images as they were.
        """
        features = encode_each(encode, inputs)["features"]
        both = features.reshape(features.shape[0], -1)
        parameters = nn.Dense(self.count, dtype=self.dtype, name="regressor")(both)
        parameters = parameters.astype(jnp.float32)
        if self.bounded:
            parameters = jnp.tanh(parameters)
        return {"parameters": parameters, "features": features[:, 0]}


class RelativeTransformationTask(PretextTask):
    """An image and its transform, from one crop and flip, go through one encoder.

    Resampling leaves its traces in the transformed image, by which a network can tell the zoom
    without comparing the two: where `blur` and `noise` are set, both images are blurred at random
    afterwards and get noise, each by itself, see `equalize_sharpness`. Another trace is the outline
    of the image before what lies around it: `border` "reflect" leaves the line of a mirror alone.

    Both images share their batch statistics; the authors pass them one after the other.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        if config.transformation not in TRANSFORMATIONS:
            raise ValueError(
                f"method.transformation must be one of {', '.join(TRANSFORMATIONS)}, got "
                f"{config.transformation!r}."
            )
        if config.border not in ("constant", "reflect"):
            raise ValueError(
                f"method.border must be 'constant' or 'reflect', got {config.border!r}."
            )
        self.blur, self.noise = tuple(config.blur), config.noise
        augment.check_equalization(self.blur, self.noise)
        self.view = augment.view_from_config(config.view)
        self.plain = dataclasses.replace(self.view, mean=None, std=None)
        self.policies = [(self.plain, 1)]
        self.border, self.fill = config.border, config.fill
        kind = TRANSFORMATIONS[config.transformation]
        ranges = config[config.transformation].to_dict()
        self.transformation: Transformation = kind(self.view.size, **ranges)
        count = self.transformation.count
        self.head = RelativeTransformationHead(count, self.transformation.bounded, dtype)
        self.chance = {"explained_variance": 0.0}
        # A range without width has no variance to explain.
        self.variance = jnp.maximum(_variance(self.transformation), 1e-6)

    @staticmethod
    def default_config() -> ConfigDict:
        """The authors' values for CIFAR-10."""
        view = augment.ViewPolicy(
            32,
            crop_scale=None,
            crop_padding=4,
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2023, 0.1994, 0.2010),
        )
        return ConfigDict(
            dict(
                transformation="projective",  # Or "affine".
                affine=ConfigDict(dict(degrees=180.0, translate=0.2, scale=(0.7, 1.3), shear=30.0)),
                projective=ConfigDict(
                    dict(
                        corner_shift=0.125,
                        scale=(0.8, 1.2),
                        quarter_turns=True,
                        mean=(0.0, 0.0, 16.0, 0.0, 0.0, 16.0, 0.0, 0.0),
                        std=(1.0, 1.0, 20.0, 1.0, 1.0, 20.0, 0.015, 0.015),
                    )
                ),
                border="constant",  # Around the image: one grey, or "reflect".
                fill=128 / 255,
                blur=(),  # Range of a blur of both images, in pixels; empty: none.
                noise=0.0,  # Standard deviation of noise on both; white is 1.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Transforms each image by parameters of its own."""
        of_view, drawn, blurred = jax.random.split(key, 3)
        image = augment.make_view(self.plain, of_view, images)
        batch = image.shape[0]
        keys = augment.example_keys(drawn, batch)
        parameters = self.transformation.sample(keys)
        matrices = self.transformation.matrices(parameters)
        warped = augment.warp(image, matrices, self.fill, self.border)
        both = jnp.stack([image, warped], axis=1)
        keys = augment.tile_keys(augment.example_keys(blurred, batch), 2)
        both = augment.equalize_sharpness(keys, both, self.blur, self.noise)
        return Question(augment.normalize_view(self.view, both), parameters)

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Mean squared error of the parameters."""
        return losses.transformation_error(outputs["parameters"], targets), {}

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """How much of the parameters' variance is explained, in the mean over them; at most 1."""
        errors = jnp.square(outputs["parameters"] - targets) / self.variance[None]
        return {"explained_variance": 1.0 - jnp.mean(errors, axis=1)}

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The image, its transform, and that transformed back by what is told."""
        seen = self.to_pixels(question.inputs)
        told = self.transformation.matrices(outputs["parameters"])
        back = augment.warp(seen[:, 1], augment.invert(told), self.fill)
        return jnp.concatenate([seen, back[:, None]], axis=1)


@functools.partial(jax.jit, static_argnums=0)
def _variance(transformation: Transformation) -> Float[Array, " count"]:
    """Of each of its parameters, by many draws."""
    keys = augment.example_keys(jax.random.key(0), _DRAWN)
    return jnp.var(transformation.sample(keys), axis=0)


class RelativeTransformation(PretextMethod):
    """Autoencoding transformations."""

    task_type = RelativeTransformationTask
