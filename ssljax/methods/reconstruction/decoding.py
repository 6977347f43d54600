"""What methods share that restore an image from an encoder: the head, and the marks of it."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from ssljax import augment, metrics, models
from ssljax.methods.pretext_task import Encode, Outputs

Images = Float[Array, "batch height width channels"]


class ReconstructionHead(nn.Module):
    """A decoder of the encoder's last map.

    Attributes:
      decoder: See `models.build_decoder`.
      bottleneck: Units of the vector through which all must pass, after batch norm and a LeakyReLU;
        0: the decoder is given the map itself.
      kernel_init: Initialiser of the bottleneck's kernel.
      dtype: Type of the arithmetic.
    """

    decoder: nn.Module
    bottleneck: int
    kernel_init: nn.initializers.Initializer
    dtype: DTypeLike

    @nn.compact
    def __call__(self, encode: Encode, inputs: Images, train: bool) -> Outputs:
        """Restores images.

        Args:
          encode: The encoder.
          inputs: Normalised images, with something missing.
          train: Whether norms use and update batch statistics.

        Returns:
          "prediction" (batch, size, size, channels), the decoder's; "features" (batch, dim), the
          encoder's.
        """
        outputs = encode(inputs)
        code = models.last_map(outputs)
        if self.bottleneck:
            code = nn.Dense(
                self.bottleneck,
                use_bias=False,
                kernel_init=self.kernel_init,
                dtype=self.dtype,
                name="bottleneck",
            )(code.reshape(code.shape[0], -1))
            code = models.BatchNorm(dtype=self.dtype, name="bottleneck_norm")(code, train)
            code = nn.leaky_relu(code, 0.2)
        return {"prediction": self.decoder(code, train), "features": outputs["features"]}


def reconstruction_head(
    config: Any, size: int, channels: int, dtype: str, **options: Any
) -> ReconstructionHead:
    """Makes the head that a task's keys describe.

    Args:
      config: With `bottleneck`, `decoder` and `decoder_widths`.
      size: Side of what is restored.
      channels: Its channels.
      dtype: Type of the arithmetic.
      **options: Attributes of the decoder that the method sets; `kernel_init` is the bottleneck's
        as well.
    """
    if config.bottleneck < 0:
        raise ValueError(f"method.bottleneck is {config.bottleneck}; it must be 0 or more.")
    decoder = models.build_decoder(
        config.decoder,
        size=size,
        channels=channels,
        widths=tuple(config.decoder_widths),
        dtype=dtype,
        **options,
    )
    init = options.get("kernel_init", nn.initializers.lecun_normal())
    return ReconstructionHead(decoder, config.bottleneck, init, dtype)


def check_statistics(view: augment.ViewPolicy) -> None:
    """Raises ValueError unless the view has the pixels' mean and deviation, which scores need."""
    if view.mean is None or view.std is None:
        raise ValueError(
            "method.view.mean and method.view.std are needed, as what is restored is measured "
            "against the data's mean colour and its variance: set them to those of the data set's "
            "pixels."
        )


def mark(
    restored: Images, truth: Images, view: augment.ViewPolicy, where: Bool[Array, "batch h w"]
) -> dict[str, Float[Array, " batch"]]:
    """Marks restored images.

    Args:
      restored: In [0, 1].
      truth: In [0, 1].
      view: Has the mean colour and the standard deviations of the data set's pixels.
      where: The pixels that count.

    Returns:
      "variance_explained": 1 - error / variance, where the error of every channel is in units of
      the channel's variance, and averaged over the pixels; over all images of a set it is the share
      of their variance that is explained. "psnr": of the pixels that count, see `metrics.decibels`.
    """
    weight = where.astype(jnp.float32)[..., None]
    count = jnp.sum(weight, axis=(1, 2, 3)) * truth.shape[-1]
    square = jnp.square(restored - truth) * weight
    variance = jnp.square(jnp.broadcast_to(jnp.asarray(view.std, jnp.float32), truth.shape[-1:]))
    share = jnp.sum(square / variance.reshape(1, 1, 1, -1), axis=(1, 2, 3)) / count
    error = jnp.sum(square, axis=(1, 2, 3)) / count
    return {"variance_explained": 1.0 - share, "psnr": metrics.decibels(error)}


def mean_colour(view: augment.ViewPolicy, images: Images) -> Images:
    """Images of the data set's mean colour: a guess without looking."""
    mean = jnp.broadcast_to(jnp.asarray(view.mean, jnp.float32), images.shape[-1:])
    return jnp.broadcast_to(mean.reshape(1, 1, 1, -1), images.shape)
