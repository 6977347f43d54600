"""Changes of tiles that take away what would give their place away without being understood.

Lenses focus colours differently away from their axis, edges go on from one tile to the next, and
neighbours are alike in brightness. Tiles are float32, (rows, height, width, channels); where an
operation is random, there is a key for each row.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from ssljax.augment.keys import bernoulli, check_probability, fold_keys, uniform
from ssljax.augment.resample import apply_separable

# The component along green against magenta, which lenses displace against each other, is taken out.
_GREEN_MAGENTA = np.array([-1.0, 2.0, -1.0])
_PROJECTION = np.eye(3) - np.outer(_GREEN_MAGENTA, _GREEN_MAGENTA) / 6.0


def _check_channels(tiles: Float[Array, "rows height width channels"]) -> None:
    if tiles.shape[-1] != 3:
        raise ValueError(f"dropped or projected colours need 3 channels, got {tiles.shape[-1]}.")


def one_channel(keys: Key[Array, " rows"], channels: int) -> Bool[Array, "rows {channels}"]:
    """Marks one channel for each row, each as likely."""
    chosen = jnp.floor(uniform(keys, 1) * channels).astype(jnp.int32)
    return jnp.arange(channels)[None] == chosen


def drop_colors(
    keys: Key[Array, " rows"], tiles: Float[Array, "rows height width channels"]
) -> Float[Array, "rows height width channels"]:
    """Keeps one random channel of each tile, and puts noise in the places of the others.

    The kept channel loses its mean. The noise is uniform over one level of 256, far weaker than
    any content.

    Args:
      keys: One key per row.
      tiles: RGB tiles in [0, 1].

    Returns:
      The tiles, about zero; `scale_to_rms` is meant to follow.

    Raises:
      ValueError: If there are not three channels.

    Reference:
      Doersch, Gupta and Efros, Unsupervised Visual Representation Learning by Context Prediction,
      2015, section 3.1; `prep_image` in `train.py` of cdoersch/deepcontext, for the noise.
    """
    _check_channels(tiles)
    noise = jax.vmap(lambda key: jax.random.uniform(key, tiles.shape[1:], jnp.float32, -0.5, 0.5))
    chosen = one_channel(fold_keys(keys, 0), 3)[:, None, None]
    return jnp.where(chosen, center(tiles), noise(fold_keys(keys, 1)) / 255.0)


def project_colors(
    tiles: Float[Array, "rows height width channels"],
) -> Float[Array, "rows height width channels"]:
    """Takes the difference between green and magenta out of each pixel.

    Args:
      tiles: RGB tiles of any range.

    Returns:
      The projections onto the plane that is orthogonal to (-1, 2, -1).

    Raises:
      ValueError: If there are not three channels.

    Reference:
      Doersch, Gupta and Efros, Unsupervised Visual Representation Learning by Context Prediction,
      2015, section 3.1.
    """
    _check_channels(tiles)
    projection = jnp.asarray(_PROJECTION, tiles.dtype)
    return jnp.matmul(tiles, projection, precision=jax.lax.Precision.HIGHEST)


def center(
    tiles: Float[Array, "rows height width channels"],
) -> Float[Array, "rows height width channels"]:
    """Subtracts from each channel of each tile its mean."""
    return tiles - jnp.mean(tiles, axis=(1, 2), keepdims=True)


def scale_to_rms(
    tiles: Float[Array, "rows height width channels"], rms: float
) -> Float[Array, "rows height width channels"]:
    """Brings the root of the mean square of each tile, over all its channels, to one number.

    Args:
      tiles: Tiles about zero.
      rms: What it is brought to; 50 is about that of centred images in 0 to 255.

    Returns:
      The tiles. One that is zero throughout stays zero.
    """
    return tiles * (rms / _or_one(jnp.mean(jnp.square(tiles), axis=(1, 2, 3), keepdims=True)))


def standardize(
    tiles: Float[Array, "rows height width channels"],
) -> Float[Array, "rows height width channels"]:
    """Brings each channel of each tile to mean 0 and standard deviation 1.

    Args:
      tiles: Tiles of any range.

    Returns:
      The tiles. A flat channel is 0: its standard deviation of 0 counts as 1.

    Reference:
      Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles,
      2016.
    """
    centred = center(tiles)
    return centred / _or_one(jnp.mean(jnp.square(centred), axis=(1, 2), keepdims=True))


def _or_one(squares: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The roots, and 1 in the place of what is 0 but for rounding: a hundredth of a level."""
    flat = squares < (0.01 / 255.0) ** 2
    return jnp.where(flat, 1.0, jnp.sqrt(jnp.where(flat, 1.0, squares)))


def random_down_and_up(
    keys: Key[Array, " rows"],
    tiles: Float[Array, "rows side side channels"],
    least: int,
    p: float = 1 / 3,
) -> Float[Array, "rows side side channels"]:
    """Makes a random part of the tiles smaller, and as large again: what was fine is lost.

    The number of pixels in between is drawn uniformly from least^2 to (side - 1)^2, and the side is
    its root, rounded down. Both ways are bilinear; downwards, all pixels count.

    Args:
      keys: One key per row.
      tiles: Square tiles of any range.
      least: Smallest side in between, in pixels.
      p: Probability that a tile is resampled.

    Returns:
      The tiles.

    Raises:
      ValueError: If the probability or the least side is impossible.

    Reference:
      Doersch, Gupta and Efros, Unsupervised Visual Representation Learning by Context Prediction,
      2015, section 3.1; `prep_image` in `train.py` of cdoersch/deepcontext, for the sizes.
    """
    check_probability(p)
    side = tiles.shape[1]
    if p == 0.0:
        return tiles
    if not 1 <= least < side:
        raise ValueError(f"tiles of {side} pixels cannot be made smaller, down to {least} pixels.")
    draw = uniform(fold_keys(keys, 0), 1)[:, 0]
    pixels = least**2 + ((side - 1) ** 2 - least**2) * draw
    # A root that should be whole may come out a little below.
    between = jnp.floor(jnp.sqrt(pixels) + 1e-4)
    matrices = _down_and_up(between, side)
    resampled = bernoulli(fold_keys(keys, 1), p)[:, None, None]
    matrices = jnp.where(resampled, matrices, jnp.eye(side, dtype=tiles.dtype)[None])
    return apply_separable(tiles, matrices, matrices)


def _down_and_up(between: Float[Array, " rows"], side: int) -> Float[Array, "rows {side} {side}"]:
    """The matrix of resampling an axis to a smaller number of pixels and back to all of them."""
    step = (side / between)[:, None, None]
    places = jnp.arange(side, dtype=jnp.float32) + 0.5
    # Place i in between lies at (i + 1/2) * step, for all that are fewer than `between`.
    distances = places[None, None, :] - places[None, :, None] * step
    there = (places[None] < between[:, None])[:, :, None]
    down = jnp.where(there, jnp.maximum(1.0 - jnp.abs(distances) / step, 0.0), 0.0)
    down = down / jnp.where(there, jnp.sum(down, axis=2, keepdims=True), 1.0)
    # Beyond the last place there is only its own value.
    source = jnp.clip(places[None] / step[:, 0], 0.5, between[:, None] - 0.5)
    up = jnp.maximum(1.0 - jnp.abs(source[:, :, None] - places[None, None, :]), 0.0)
    return jnp.matmul(up, down, precision=jax.lax.Precision.HIGHEST)
