"""Super-resolution: a large image is predicted from a small one.

Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network,
2017.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, metrics, models
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question
from ssljax.methods.reconstruction.decoding import Images, last_map

PyTree = Any
Small = Float[Array, "batch small_height small_width channels"]


class SuperResolutionHead(nn.Module):
    """Enlarges the encoder's last map to an image.

    Attributes:
      upscaler: See `models.Upscaler`.
    """

    upscaler: models.Upscaler

    def __call__(self, encode: Encode, inputs: Small, train: bool) -> Outputs:
        """Makes large images of small ones.

        Args:
          encode: An encoder that keeps the side of its input.
          inputs: Small images in [0, 1].
          train: Whether norms use and update batch statistics.

        Returns:
          "prediction" (batch, height, width, channels), large images in [-1, 1]; "features"
          (batch, dim), the encoder's.

        Raises:
          ValueError: If the encoder's last map is smaller than its input.
        """
        outputs = encode(inputs)
        trunk = last_map(outputs)
        if trunk.shape[1:3] != inputs.shape[1:3]:
            raise ValueError(
                f"Super-resolution needs an encoder that keeps the side of its images, and this "
                f"one makes {trunk.shape[1]} of {inputs.shape[1]}: choose "
                "config.model.encoder.name=srresnet."
            )
        return {"prediction": self.upscaler(trunk, train), "features": outputs["features"]}


class SuperResolutionTask(PretextTask):
    """The small image is the large one, reduced by bicubic interpolation.

    The loss is the squared error. Small images are in [0, 1] and large ones in [-1, 1], so that a
    mean and deviation of the view are not read. Marks are of the luma Y alone, and of what lies
    inside a border.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        view = augment.view_from_config(config.view)
        self.view = dataclasses.replace(view, mean=None, std=None)
        self.policies = [(self.view, 1)]
        self.factor, self.border = config.factor, config.border
        inner = self.view.size - 2 * self.border
        if self.view.size % self.factor or inner < 11:
            raise ValueError(
                f"method.view.size={self.view.size} with method.factor={self.factor} and "
                f"method.border={self.border} is impossible: the factor must divide the size, and "
                "SSIM needs 11 pixels inside the border."
            )
        channels = task.image_shape[-1]
        self.head = SuperResolutionHead(
            models.Upscaler(self.factor, channels, config.upscaler_channels, dtype)
        )
        self.chance = {"psnr": jnp.nan, "ssim": jnp.nan}

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values."""
        view = augment.ViewPolicy(96, crop_scale=None, flip_p=0.0)
        return ConfigDict(
            dict(
                factor=4,  # By which the sides grow: 2, 4 or 8.
                upscaler_channels=64,  # Of the enlarged maps.
                border=4,  # Pixels on every side that are not marked.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def reduce(self, large: Images) -> Small:
        """Small images of large ones, both in [0, 1]."""
        side = self.view.size // self.factor
        return augment.resize(large, (side, side), "bicubic")

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Makes small images; keeps the large ones in [0, 1]."""
        large = augment.make_view(self.view, key, images)
        return Question(self.reduce(large), large)

    def loss(self, outputs: Outputs, targets: Images) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Squared error of the large images in [-1, 1]."""
        return losses.pixel_squared_error(outputs["prediction"], 2.0 * targets - 1.0), {}

    def scores(self, outputs: Outputs, targets: Images) -> dict[str, Float[Array, " batch"]]:
        """Signal-to-noise ratio and structural similarity."""
        return self._mark(self._enlarged(outputs), targets)

    def guess(self, question: Question) -> dict[str, Float[Array, " batch"]]:
        """The marks of bicubic interpolation."""
        return self._mark(self._interpolated(question.inputs), question.targets)

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The small image, enlarged by bicubic interpolation and by the network, and the truth."""
        squares = jnp.repeat(jnp.repeat(question.inputs, self.factor, 1), self.factor, 2)
        enlarged = [self._interpolated(question.inputs), self._enlarged(outputs)]
        return jnp.stack([squares, *enlarged, question.targets], axis=1)

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """The encoder's outputs for small images, as in training."""
        return encode(self.reduce(augment.center_view(self.view, images)))

    def _interpolated(self, small: Small) -> Images:
        side = self.view.size
        return augment.resize(small, (side, side), "bicubic")

    def _enlarged(self, outputs: Outputs) -> Images:
        return jnp.clip((outputs["prediction"] + 1.0) / 2.0, 0.0, 1.0)

    def _mark(self, enlarged: Images, truth: Images) -> dict[str, Float[Array, " batch"]]:
        pair = [enlarged, truth]
        if truth.shape[-1] == 3:
            pair = [metrics.luma(x) for x in pair]
        inner, wanted = (metrics.without_border(x, self.border) for x in pair)
        return {"psnr": metrics.psnr(inner, wanted), "ssim": metrics.ssim(inner, wanted)}


class SuperResolution(PretextMethod):
    """SRResNet: a trunk of residual blocks on the small image, and an end that enlarges."""

    roles: ClassVar = {"encoder": models.ENCODER.with_options(name="srresnet")}
    task_type = SuperResolutionTask
