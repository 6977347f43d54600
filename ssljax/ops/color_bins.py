"""Colours as classes: bins of colour, targets that several bins share, and the way back.

Zhang, Isola and Efros, Colorful Image Colorization (arXiv:1603.08511), 2016, section 2.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.checks import check_positive
from ssljax.ops.color import srgb_to_lab
from ssljax.ops.floats import as_float32

_SAMPLES = 64
"""Colours along each edge of the sRGB cube by which its shape in Lab is known."""


def gamut_bins(grid: float = 10.0) -> np.ndarray:
    """The bins of ab: points of a square grid in and around the colours that a screen shows.

    A point of the grid is a bin if the ab of some sRGB colour lies within a diagonal of the grid,
    `grid * sqrt(2)`. The rim outside the gamut is of use: a colour at its edge is shared by bins on
    both sides of it. For the paper's grid of 10 these are 314 bins, among them 310 of the 313 that
    the authors publish without the rule by which they chose them.

    Args:
      grid: Distance of neighbours.

    Returns:
      (bins, 2) in float32, sorted by a, then by b; not to be written to.

    Raises:
      ValueError: If the distance is not positive.

    Example:
      >>> print(gamut_bins(10.0).shape)
      (314, 2)
    """
    check_positive(grid=grid)
    return _gamut_bins(grid)


@functools.cache
def _gamut_bins(grid: float) -> np.ndarray:
    # The surface of the cube covers all that its inside does, seen along L.
    edge = np.linspace(0.0, 1.0, _SAMPLES, dtype=np.float32)
    side = np.stack(np.meshgrid(edge, edge), axis=-1).reshape(-1, 2)
    faces = [
        np.insert(side, axis, level, axis=1) for axis, level in itertools.product(range(3), (0, 1))
    ]
    with jax.ensure_compile_time_eval():
        colors = np.asarray(srgb_to_lab(jnp.asarray(np.concatenate(faces))), np.float64)[:, 1:]
    reach = math.ceil(np.abs(colors).max() / grid + math.sqrt(2))
    line = grid * np.arange(-reach, reach + 1)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    nearest = [np.min(np.sum(np.square(colors - point), axis=1)) for point in points]
    bins = points[np.array(nearest) <= 2 * grid**2].astype(np.float32)
    bins.setflags(write=False)
    return bins


def lightness_bins(count: int = 100) -> np.ndarray:
    """The centres of so many equal bins of L over [0, 100].

    Args:
      count: Number of bins.

    Returns:
      (count, 1) in float32.

    Example:
      >>> print(lightness_bins(4)[:, 0])
      [12.5 37.5 62.5 87.5]
    """
    return (100.0 / count * (np.arange(count, dtype=np.float32) + 0.5))[:, None]


def soft_encode(
    colors: Float[Array, "*places dim"],
    bins: Float[Array | np.ndarray, "bins dim"],
    neighbors: int = 5,
    sigma: float = 5.0,
) -> Float32[Array, "*places bins"]:
    """Shares each colour among its nearest bins, by a Gaussian of the distance.

    Args:
      colors: Coordinates, such as a and b.
      bins: Those of the bins.
      neighbors: How many bins share a colour; with 1 the nearest has all. Others that are just as
        far as the last of them have a share too.
      sigma: Standard deviation of the Gaussian, in units of the coordinates.

    Returns:
      The shares; they sum to 1 over the bins.

    Raises:
      ValueError: If sigma is not positive, or there are not so many bins.

    Reference:
      Zhang, Isola and Efros, Colorful Image Colorization (arXiv:1603.08511), 2016, section 2.1.
      The paper has 5 neighbours, its code 10.

    Example:
      >>> import jax.numpy as jnp
      >>> bins = jnp.array([[0.0], [10.0], [20.0]])
      >>> [f"{x:.3f}" for x in soft_encode(jnp.array([4.0]), bins, neighbors=2)]
      ['0.599', '0.401', '0.000']
    """
    check_positive(sigma=sigma)
    centres = jnp.asarray(bins, jnp.float32)
    if not 1 <= neighbors <= len(bins):
        raise ValueError(f"neighbors is {neighbors}; it must be from 1 to {len(bins)}, the bins.")
    colors = as_float32(colors)
    across = (1,) * (colors.ndim - 1)
    distances = sum(
        jnp.square(colors[..., i, None] - centres[:, i].reshape(*across, -1))
        for i in range(centres.shape[1])
    )
    # The distances are passed from the least on: to sort them all takes many times as long.
    nearest = farthest = jnp.min(distances, axis=-1, keepdims=True)
    left, passed = distances, jnp.zeros(nearest.shape, jnp.int32)
    for _ in range(neighbors):
        least = jnp.min(left, axis=-1, keepdims=True)
        farthest = jnp.where(passed < neighbors, least, farthest)
        passed += jnp.sum(left <= least, axis=-1, keepdims=True, dtype=jnp.int32)
        left = jnp.where(left <= least, jnp.inf, left)
    shares = jnp.exp((nearest - distances) / (2 * sigma**2))
    shares = jnp.where(distances <= farthest, shares, 0.0)
    return shares / jnp.sum(shares, axis=-1, keepdims=True)


def annealed_mean(
    logits: Float[Array, "*places bins"],
    bins: Float[Array | np.ndarray, "bins dim"],
    temperature: float = 0.38,
) -> Float32[Array, "*places dim"]:
    """Decodes a distribution over bins: the mean, once the distribution has been sharpened.

    Args:
      logits: Scores of the bins.
      bins: Their coordinates.
      temperature: Divides the logits; 1 gives the mean, and values near 0 the likeliest bin.

    Returns:
      Coordinates.

    Raises:
      ValueError: If the temperature is not positive.

    Reference:
      Zhang, Isola and Efros, Colorful Image Colorization (arXiv:1603.08511), 2016, section 2.3.

    Example:
      >>> import jax.numpy as jnp
      >>> print(annealed_mean(jnp.array([0.0, 1.0]), jnp.array([[0.0], [10.0]])).round(2))
      [9.33]
    """
    check_positive(temperature=temperature)
    shares = jax.nn.softmax(as_float32(logits) / temperature, axis=-1)
    return jnp.matmul(shares, jnp.asarray(bins, jnp.float32), precision=lax.Precision.HIGHEST)


def rebalancing_weights(
    prior: Float[Array, "*batch bins"], uniform: float = 0.5
) -> Float32[Array, "*batch bins"]:
    """How much the error at each bin weighs, so that rare colours are not lost.

    A weight is 1 / ((1 - uniform) * prior + uniform / known), where `known` counts the bins with a
    prior above 0; then all are scaled to a mean of 1 under the prior.

    Args:
      prior: The share of each bin, at least 0, summing to 1.
      uniform: Share of the uniform distribution that is mixed in, in [0, 1]. At 1 all weights are
        equal.

    Returns:
      The weights; 0 for bins without a prior, which nothing that was counted can meet.

    Raises:
      ValueError: If `uniform` is out of range.

    Reference:
      Zhang, Isola and Efros, Colorful Image Colorization (arXiv:1603.08511), 2016, eq. 4. There
      the prior is that of ImageNet.

    Example:
      >>> import jax.numpy as jnp
      >>> [f"{x:.2f}" for x in rebalancing_weights(jnp.array([0.75, 0.25, 0.0]))]
      ['0.86', '1.43', '0.00']
    """
    if not 0 <= uniform <= 1:
        raise ValueError(f"uniform is {uniform}; it must be in [0, 1].")
    prior = as_float32(prior)
    known = prior > 0
    count = jnp.maximum(jnp.sum(known, axis=-1, keepdims=True, dtype=jnp.float32), 1.0)
    mixed = (1 - uniform) * prior + uniform / count
    weights = jnp.where(known, 1.0 / jnp.where(known, mixed, 1.0), 0.0)
    mean = jnp.sum(prior * weights, axis=-1, keepdims=True)
    return weights / jnp.where(mean > 0, mean, 1.0)
