"""What is destroyed of images so that a network restores it: noise, and regions that are hidden.

Noise is drawn for each image by its own key. A mask is shared by the images that it is given for.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ssljax.augment.keys import check_probability, fold_keys

_TRIES = 64


def gaussian_noise(
    keys: Key[Array, " batch"], images: Float[Array, "batch height width channels"], std: float
) -> Float[Array, "batch height width channels"]:
    """Adds independent normal noise to every value.

    Args:
      keys: One key per example.
      images: Images in [0, 1].
      std: Standard deviation of the noise.

    Returns:
      The noisy images; they are not clipped.

    Raises:
      ValueError: If the standard deviation is negative.

    Reference:
      Vincent et al., Stacked Denoising Autoencoders, 2010, section 3.3.
    """
    if std < 0:
        raise ValueError(f"std must not be negative, got {std}.")
    return images + std * _each(jax.random.normal, keys, images)


def masking_noise(
    keys: Key[Array, " batch"], images: Float[Array, "batch height width channels"], p: float
) -> Float[Array, "batch height width channels"]:
    """Sets values to 0.

    Args:
      keys: One key per example.
      images: Images in [0, 1].
      p: Probability of each value, on its own; in the paper the number of them is fixed.

    Returns:
      The images with holes; channels of one pixel are hit independently.

    Raises:
      ValueError: If `p` is no probability.

    Reference:
      Vincent et al., Stacked Denoising Autoencoders, 2010, section 3.3.
    """
    check_probability(p)
    return jnp.where(_each(jax.random.uniform, keys, images) < p, 0.0, images)


def salt_and_pepper(
    keys: Key[Array, " batch"], images: Float[Array, "batch height width channels"], p: float
) -> Float[Array, "batch height width channels"]:
    """Sets values to 0 or to 1, by a fair coin.

    Args:
      keys: One key per example.
      images: Images in [0, 1].
      p: Probability of each value, on its own; in the paper the number of them is fixed.

    Returns:
      The images with extreme values; channels of one pixel are hit independently.

    Raises:
      ValueError: If `p` is no probability.

    Reference:
      Vincent et al., Stacked Denoising Autoencoders, 2010, section 3.3.
    """
    check_probability(p)
    # Of what is hit, the lower half of the draws is pepper.
    draws = _each(jax.random.uniform, keys, images)
    return jnp.where(draws < p / 2, 0.0, jnp.where(draws < p, 1.0, images))


def _each(
    draw: Callable[..., Array],
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height width channels"]:
    """Draws a number for every value of every image."""
    return jax.vmap(lambda key: draw(key, images.shape[1:], jnp.float32))(fold_keys(keys, 0))


def center_mask(side: int, hole: int) -> Bool[Array, "{side} {side}"]:
    """Marks a square in the middle.

    Args:
      side: Side of the images.
      hole: Side of the square.

    Returns:
      True inside the square.

    Raises:
      ValueError: If the square does not lie inside the image, in its middle.
    """
    if not 0 < hole < side or (side - hole) % 2:
        raise ValueError(
            f"A square of {hole} pixels does not lie in the middle of {side}: it must be smaller, "
            "and by an even number of pixels."
        )
    margin = (side - hole) // 2
    inside = (jnp.arange(side) >= margin) & (jnp.arange(side) < side - margin)
    return inside[:, None] & inside[None]


def random_region_mask(
    key: Key[Array, ""],
    side: int,
    resolution: float = 0.06,
    threshold: float = 0.25,
    cover: tuple[float, float] = (0.2, 0.3),
) -> Bool[Array, "{side} {side}"]:
    """Marks regions of any shape: where smooth noise is low.

    Args:
      key: The key of this mask.
      side: Side of the images.
      resolution: Cells of noise per pixel; the fewer, the larger the regions. The authors' 0.06
        makes 7.7 cells a side of 128 pixels.
      threshold: The mask is where noise, uniform in [0, 1] and enlarged by bicubic interpolation,
        is below it.
      cover: Least and greatest share of the image that the mask covers.

    Returns:
      The first of 64 draws that covers as much as it should; if none does, the one that comes
      nearest to the middle of that range.

    Reference:
      Pathak et al., Context Encoders, 2016, section 3.2; `train_random.lua` of
      pathak22/context-encoder, where masks are cut from one large pattern.
    """
    # Cells beyond the mask on all sides: it begins anywhere between them, and its border is like
    # its inside.
    cells = int(-(-side * resolution // 1)) + 5
    room = cells / resolution

    def draw(key: Key[Array, ""]) -> Bool[Array, "side side"]:
        noise_key, place_key = jax.random.split(key)
        noise = jax.random.uniform(noise_key, (cells, cells), jnp.float32)
        edge = 2 / resolution
        start = jax.random.uniform(
            place_key, (2,), jnp.float32, minval=edge, maxval=room - edge - side
        )
        one = jnp.ones((2,), jnp.float32) / resolution
        smooth = jax.image.scale_and_translate(
            noise, (side, side), (0, 1), one, -start, "cubic", antialias=False
        )
        return smooth < threshold

    masks = jax.vmap(draw)(jax.random.split(key, _TRIES))
    covered = jnp.mean(masks, axis=(1, 2), dtype=jnp.float32)
    low, high = cover
    off = jnp.abs(covered - (low + high) / 2)
    # The first that fits comes before all others.
    rank = jnp.where((covered > low) & (covered < high), 0.0, off)
    return masks[jnp.argmin(rank)]
