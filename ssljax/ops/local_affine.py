"""The local affine recolouring of a photograph that comes nearest to another image, smoothed.

It is the last step of deep photo style transfer: what the optimisation has left of grain is no
affine function of the photograph's colours, and vanishes.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32, Float64

from ssljax.ops.checks import check_positive

RADIUS, EDGE = 15, 0.01
"""Of the authors' code: reach of the smoothing in pixels, and the colours that it keeps apart."""
_RIDGE = 1e-3
"""Of the authors' code: what it adds to the diagonal of each window's normal equations."""
_PATCH = tuple(itertools.product((-1, 0, 1), repeat=2))
_ROWS = 64
"""Rows of pixels whose equations are solved at a time."""


def smooth_local_affine(
    image: Float[Array | np.ndarray, "height width channels"],
    photograph: Float[np.ndarray, "rows columns colors"],
    radius: int = RADIUS,
    edge: float = EDGE,
) -> Float32[np.ndarray, "rows columns channels"]:
    """Replaces an image by a smooth local affine recolouring of a photograph.

    Args:
      image: What was optimised, in [0, 1].
      photograph: What it was made from, in [0, 1].
      radius: Of the square over which recolourings are averaged, in pixels; their weight falls as a
        Gaussian of a third of it.
      edge: Standard deviation of the weight by colour, in the root mean square of the channels'
        differences.

    Returns:
      The recoloured photograph; it may lie a little outside of [0, 1].

    Raises:
      ValueError: If the sizes differ, or `radius` or `edge` is not above 0.

    Reference:
      `smooth_local_affine` of luanfujun/deep-photo-styletransfer, `cuda_utils.cu`, with the radius
      and edge of its `gen_all.py`.

    Example:
      >>> import numpy as np
      >>> photograph = np.linspace(0, 1, 36).reshape(3, 4, 3)
      >>> found = smooth_local_affine(photograph, photograph, radius=1)
      >>> bool(abs(found - photograph).max() < 0.02)
      True
    """
    image = np.asarray(image, np.float64)
    if image.shape[:2] != photograph.shape[:2]:
        raise ValueError(
            f"The image {image.shape[:2]} and the photograph {photograph.shape[:2]} must have one "
            "size."
        )
    check_positive(radius=radius, edge=edge)
    models = local_affine(image, photograph)
    guide = jnp.asarray(photograph, jnp.float32)
    smoothed = jax.jit(joint_bilateral, static_argnums=(2, 3))
    smooth = smoothed(jnp.asarray(models, jnp.float32), guide, radius, edge)
    ones = np.ones((*photograph.shape[:2], 1))
    colors = np.concatenate([photograph, ones], axis=2)
    smooth = np.asarray(smooth).reshape(*models.shape[:2], -1, image.shape[2])
    return np.einsum("yxi,yxic->yxc", colors, smooth).astype(np.float32)


def local_affine(
    image: Float[np.ndarray, "height width channels"],
    photograph: Float[np.ndarray, "height width inputs"],
) -> Float64[np.ndarray, "height width models"]:
    """Explains an image around each pixel as an affine function of a photograph's colours.

    Args:
      image: In [0, 1].
      photograph: In [0, 1], of the same size.

    Returns:
      For each pixel the coefficients of ridge regression over its window of 3 x 3 pixels, as far as
      it lies in the image: (inputs + 1) rows, the last that of the constant, of `channels` each,
      row by row.

    Example:
      >>> import numpy as np
      >>> photograph = np.linspace(0, 1, 9).reshape(3, 3, 1)
      >>> print(local_affine(2 * photograph + 1, photograph)[1, 1].round(2))
      [2. 1.]
    """
    height, width, inputs = photograph.shape
    ones = np.ones((height, width, 1))
    colors = np.concatenate([photograph.astype(np.float64), ones], axis=2)
    pad = ((1, 1), (1, 1), (0, 0))
    given, wanted = np.pad(colors, pad), np.pad(image.astype(np.float64), pad)
    solved = []
    for top in range(0, height, _ROWS):
        rows = min(_ROWS, height - top)
        left = np.broadcast_to(_RIDGE * np.eye(inputs + 1), (rows, width, inputs + 1, inputs + 1))
        right = np.zeros((rows, width, inputs + 1, image.shape[2]))
        for y, x in _PATCH:
            part = np.s_[top + 1 + y : top + 1 + y + rows, 1 + x : 1 + x + width]
            left = left + given[part][..., :, None] * given[part][..., None, :]
            right = right + given[part][..., :, None] * wanted[part][..., None, :]
        solved.append(np.linalg.solve(left, right))
    return np.concatenate(solved).reshape(height, width, -1)


def joint_bilateral(
    values: Float[Array, "height width channels"],
    guide: Float[Array, "height width _colors"],
    radius: int,
    edge: float,
) -> Float[Array, "height width channels"]:
    """Averages values over near pixels whose colours in another image are alike.

    Args:
      values: What is averaged.
      guide: The image whose edges are kept, in [0, 1].
      radius: Of the square of pixels that count; their weight falls as a Gaussian of a third of it.
      edge: Standard deviation of the weight by colour, in the root mean square of the channels'
        differences.

    Returns:
      The means. Pixels outside of the image do not count.

    Raises:
      ValueError: If `radius` or `edge` is not above 0.

    Example:
      >>> import jax.numpy as jnp
      >>> values, guide = jnp.array([[[0.0], [6.0], [9.0]]]), jnp.array([[[0.0], [0.0], [1.0]]])
      >>> print(joint_bilateral(values, guide, 300, 0.01)[0, :, 0].round(2))
      [3. 3. 9.]
    """
    check_positive(radius=radius, edge=edge)
    height, width = values.shape[:2]
    reach = min(radius, height - 1), min(radius, width - 1)
    inside = jnp.ones((height, width, 1), values.dtype)
    around = jnp.concatenate([values, inside, guide.astype(values.dtype)], axis=2)
    around = jnp.pad(around, ((reach[0],) * 2, (reach[1],) * 2, (0, 0)))
    kept = values.shape[2] + 1

    def add(total: Array, offset: Array) -> tuple[Array, None]:
        y, x = offset
        shape = (height, width, around.shape[2])
        near = lax.dynamic_slice(around, (y + reach[0], x + reach[1], jnp.zeros_like(y)), shape)
        far = (y * y + x * x).astype(values.dtype) / (2 * (radius / 3) ** 2)
        apart = jnp.mean(jnp.square(near[..., kept:] - guide), axis=2, keepdims=True)
        weight = jnp.exp(-far - apart / (2 * edge**2))
        return total + weight * near[..., :kept], None

    steps = [np.arange(-side, side + 1) for side in reach]
    offsets = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 2)
    start = jnp.zeros((height, width, kept), values.dtype)
    total, _ = lax.scan(add, start, jnp.asarray(offsets, jnp.int32))
    return total[..., :-1] / total[..., -1:]
