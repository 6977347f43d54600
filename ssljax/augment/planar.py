"""The layout in which the work is done: planes of pixels, channels first.

Vector units reach long runs of pixels that way. Operations transpose their input to planes and
their result back; between two operations the transposes cancel in the compiled program.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def to_planar(
    images: Float[Array, "batch height width channels"],
) -> Float[Array, "batch channels height width"]:
    """Moves the channels in front of the pixels."""
    return jnp.moveaxis(images, -1, 1)


def from_planar(
    planes: Float[Array, "batch channels height width"],
) -> Float[Array, "batch height width channels"]:
    """Moves the channels behind the pixels."""
    return jnp.moveaxis(planes, 1, -1)


def choose(
    mask: Bool[Array, " batch"],
    chosen: Float[Array, "batch channels height width"],
    other: Float[Array, "batch channels height width"],
) -> Float[Array, "batch channels height width"]:
    """Takes whole images from `chosen` where the mask is set and from `other` elsewhere."""
    return jnp.where(mask[:, None, None, None], chosen, other)
