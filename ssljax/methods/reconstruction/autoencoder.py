"""Autoencoders: an image is restored from its code, or from what noise has left of it.

Vincent et al., Extracting and Composing Robust Features with Denoising Autoencoders, 2008, and
Stacked Denoising Autoencoders, 2010.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses
from ssljax.augment import presets
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Outputs, PretextTask, Question
from ssljax.methods.reconstruction.decoding import (
    Images,
    check_statistics,
    mark,
    mean_colour,
    reconstruction_head,
)

_CORRUPTION_KEY = 6  # Beyond the keys of a view's own operations.


class AutoencoderTask(PretextTask):
    """All layers learn at once; the papers pretrain one after another.

    The network is given normalised images. With the squared error it answers in their units; with
    the cross-entropy its answers are logits of pixels in [0, 1].
    """

    columns: tuple[str, ...] = ("seen", "said")

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        if config.loss not in ("squared_error", "cross_entropy"):
            raise ValueError(
                f"method.loss is {config.loss!r}; it must be 'squared_error' or 'cross_entropy'."
            )
        self.cross_entropy = config.loss == "cross_entropy"
        self.view = augment.view_from_config(config.view)
        check_statistics(self.view)
        self.pixel_view = dataclasses.replace(self.view, mean=None, std=None)
        self.policies = [(self.pixel_view, 1)]
        self.head = reconstruction_head(config, self.view.size, task.image_shape[-1], dtype)
        # What a guess has depends on the images: see `guess`.
        self.chance = {"variance_explained": jnp.nan, "psnr": jnp.nan}

    @staticmethod
    def default_config() -> ConfigDict:
        """Views of whole images, and a decoder of three doublings."""
        view = augment.ViewPolicy(
            32, crop_scale=None, flip_p=0.0, mean=presets.CIFAR10_MEAN, std=presets.CIFAR10_STD
        )
        return ConfigDict(
            dict(
                loss="squared_error",  # Or "cross_entropy", of pixels in [0, 1].
                bottleneck=128,  # Units of the code; 0: the encoder's last map.
                decoder="transposed",  # Or "resized".
                decoder_widths=(256, 128, 64),  # A doubling each.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def corrupt(self, keys: Key[Array, " batch"], images: Images) -> Images:
        """What is left of images in [0, 1]: all."""
        return images

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Hands over images, corrupted, and keeps the clean ones in [0, 1]."""
        clean = augment.make_view(self.pixel_view, key, images)
        keys = augment.fold_keys(augment.example_keys(key, clean.shape[0]), _CORRUPTION_KEY)
        return Question(self._normalize(self.corrupt(keys, clean)), clean)

    def loss(self, outputs: Outputs, targets: Images) -> tuple[Float[Array, ""], dict[str, Array]]:
        """A mean over all values; the papers sum over those of an image."""
        prediction = outputs["prediction"]
        if self.cross_entropy:
            return losses.pixel_cross_entropy(prediction, targets), {}
        return losses.pixel_squared_error(prediction, self._normalize(targets)), {}

    def scores(self, outputs: Outputs, targets: Images) -> dict[str, Float[Array, " batch"]]:
        """The share of the variance that is explained, and the signal-to-noise ratio."""
        return self._mark(self._restored(outputs), targets)

    def guess(self, question: Question) -> dict[str, Float[Array, " batch"]]:
        """The marks of the mean colour."""
        return self._mark(mean_colour(self.view, question.targets), question.targets)

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """What is seen, what is made of it and, where the two differ, the clean image."""
        parts = [self.to_pixels(question.inputs), self._restored(outputs), question.targets]
        return jnp.stack(parts[: len(self.columns)], axis=1)

    def _normalize(self, images: Images) -> Images:
        assert self.view.mean is not None
        assert self.view.std is not None
        return augment.normalize(images, self.view.mean, self.view.std)

    def _restored(self, outputs: Outputs) -> Images:
        if self.cross_entropy:
            return jax.nn.sigmoid(outputs["prediction"])
        return self.to_pixels(outputs["prediction"])

    def _mark(self, restored: Images, truth: Images) -> dict[str, Float[Array, " batch"]]:
        return mark(restored, truth, self.view, jnp.ones(truth.shape[:3], bool))


class DenoisingAutoencoderTask(AutoencoderTask):
    """Corrupted images in, clean images out; the code may be larger than the image."""

    columns = ("seen", "said", "truth")

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        super().__init__(config, task, dtype)
        if config.corruption not in _CORRUPTIONS:
            raise ValueError(
                f"method.corruption is {config.corruption!r}; it must be one of "
                f"{', '.join(_CORRUPTIONS)}."
            )
        self.noise, self.strength = _CORRUPTIONS[config.corruption], config.strength

    @staticmethod
    def default_config() -> ConfigDict:
        """An autoencoder's keys without a bottleneck, and the noise."""
        config = AutoencoderTask.default_config()
        config.update(
            bottleneck=0,
            corruption="masking",  # "gaussian", "masking" or "salt_and_pepper".
            strength=0.25,  # The share of values that are hit; or the Gaussian's deviation.
        )
        return config

    def corrupt(self, keys: Key[Array, " batch"], images: Images) -> Images:
        """What noise leaves of images in [0, 1]."""
        return self.noise(keys, images, self.strength)


_CORRUPTIONS: dict[str, Callable[..., Images]] = {
    "gaussian": augment.gaussian_noise,
    "masking": augment.masking_noise,
    "salt_and_pepper": augment.salt_and_pepper,
}


class Autoencoder(PretextMethod):
    """The autoencoder."""

    task_type = AutoencoderTask


class DenoisingAutoencoder(PretextMethod):
    """The denoising autoencoder."""

    task_type = DenoisingAutoencoderTask
