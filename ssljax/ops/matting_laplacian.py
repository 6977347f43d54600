"""The matting Laplacian: how far an image is from being locally an affine function of its colours.

In every window of 3 x 3 pixels a layer, such as an opacity, is explained by an affine function of
the colours; the Laplacian's quadratic form is the sum of what is left. The windows' colours are
whitened once, in float64 on the host: of them the Laplacian is a sum of projections, whose products
float32 computes to six digits. Products of colours in float32 would be worthless, since ε, 1e-7, is
of the size of their rounding errors.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jaxtyping import Array, Bool, Float, Float32

from ssljax.ops.checks import check_positive

EPSILON = 1e-7
"""Of the authors' code: 9 windows' pixels share it, and each colour's variance grows by ε / 9."""
_SIDE, _REACH = 3, 2
_AREA = _SIDE * _SIDE
_PLACES = tuple(itertools.product(range(_SIDE), repeat=2))
_CHUNK = 1 << 15
"""Windows that are worked on at a time."""


def whitened_windows(
    image: Float[np.ndarray, "height width channels"], epsilon: float = EPSILON
) -> Float32[np.ndarray, "channels 9 height-2 width-2"]:
    """What `laplacian_product` needs of an image.

    Args:
      image: In [0, 1].
      epsilon: Strength of the regularisation, above 0, for colours in [0, 1].

    Returns:
      The colours of each window, less their mean, in axes in which their covariance plus ε / 9 is
      the unit matrix; the window's pixels row by row. For three channels 108 bytes a pixel.

    Raises:
      ValueError: If the image is smaller than a window, or `epsilon` is not above 0.

    Example:
      >>> import numpy as np
      >>> whitened_windows(np.zeros((3, 4, 1))).shape
      (1, 9, 1, 2)
    """
    height, width, channels = _checked(image, epsilon)
    rows, columns = height - _SIDE + 1, width - _SIDE + 1
    result = np.empty((channels, _AREA, rows * columns), np.float32)
    for windows, white in _whitened(image, np.arange(rows * columns), epsilon):
        result[:, :, windows[0] : windows[-1] + 1] = white
    return result.reshape(channels, _AREA, rows, columns)


def laplacian_product(
    windows: Float[Array, "channels 9 _ _"],
    layers: Float[Array, "height width *layers"],
) -> Float[Array, "height width *layers"]:
    """Multiplies layers by the Laplacian of an image, on the device and without a matrix.

    The sums over windows are made of nine shifted images each. Of a layer v, the quadratic form is
    `jnp.sum(v * laplacian_product(windows, v))`, and its gradient twice the product.

    Args:
      windows: Of `whitened_windows`, (channels, 9, height - 2, width - 2).
      layers: One or several, such as an opacity, or the channels of another image.

    Returns:
      The products.

    Reference:
      Levin et al., A Closed-Form Solution to Natural Image Matting, 2008, eq. 11 and 12.

    Example:
      >>> import jax.numpy as jnp
      >>> import numpy as np
      >>> windows = jnp.asarray(whitened_windows(np.zeros((3, 3, 1))))
      >>> print(abs(laplacian_product(windows, jnp.ones((3, 3)))).max().round(6))
      0.0
    """
    rows, columns = windows.shape[2:]

    def product(layer: Float[Array, "height width"]) -> Float[Array, "height width"]:
        # Kept apart, these are fused into a few passes over the image; stacked, they are not.
        shifted = [layer[y : y + rows, x : x + columns] for y, x in _PLACES]
        mean = sum(shifted[1:], shifted[0]) / _AREA
        slopes = [sum(w * s for w, s in zip(white, shifted, strict=True)) for white in windows]
        total = jnp.zeros_like(layer)
        for place, (y, x) in enumerate(_PLACES):
            explained = sum(
                white[place] * slope for white, slope in zip(windows, slopes, strict=True)
            )
            rest = shifted[place] - mean - explained / _AREA
            total = total.at[y : y + rows, x : x + columns].add(rest)
        return total

    flat = layers.reshape(*layers.shape[:2], -1)
    return jax.vmap(product, in_axes=2, out_axes=2)(flat).reshape(layers.shape)


def sparse_laplacian(
    image: Float[np.ndarray, "height width channels"],
    epsilon: float = EPSILON,
    known: Bool[np.ndarray, "height width"] | None = None,
) -> scipy.sparse.csr_array:
    """The Laplacian as a matrix of SciPy, in float64.

    It holds up to 25 numbers for each pixel of a window, 300 bytes, and building it takes as much
    again.

    Args:
      image: In [0, 1].
      epsilon: As for `whitened_windows`.
      known: Pixels whose values are given: windows that hold no others are left out, and with them
        what they add to rows of known pixels.

    Returns:
      The matrix, (pixels, pixels), symmetric, the pixels row by row; its rows sum to 0.

    Raises:
      ValueError: As `whitened_windows`.

    Reference:
      Levin et al., 2008, eq. 12.

    Example:
      >>> import numpy as np
      >>> print(sparse_laplacian(np.zeros((3, 3, 1))).toarray()[0, :3].round(3))
      [ 0.889 -0.111 -0.111]
    """
    height, width, _ = _checked(image, epsilon)
    pixels = height * width
    unknown = np.ones((height, width), bool) if known is None else ~known
    windows_of = np.lib.stride_tricks.sliding_window_view(unknown, (_SIDE, _SIDE))
    used = np.asarray(windows_of.any(axis=(2, 3)))
    touched = np.zeros((height, width), bool)
    for y, x in _PLACES:
        touched[y : y + used.shape[0], x : x + used.shape[1]] |= used
    # The rows of the matrix that are not empty are numbered.
    number = np.cumsum(touched).reshape(height, width) - 1
    reach = range(-_REACH, _REACH + 1)
    offsets = np.array([y * width + x for y, x in itertools.product(reach, repeat=2)])
    values = np.zeros((len(offsets), int(touched.sum())))
    for windows, white in _whitened(image, np.flatnonzero(used), epsilon):
        top, left = np.divmod(windows, used.shape[1])
        row = [number[top + y, left + x] for y, x in _PLACES]
        for (a, (ya, xa)), (b, (yb, xb)) in itertools.product(enumerate(_PLACES), repeat=2):
            explained = (1 + np.einsum("cn,cn->n", white[:, a], white[:, b])) / _AREA
            offset = (yb - ya + _REACH) * len(reach) + xb - xa + _REACH
            values[offset, row[a]] += float(a == b) - explained
    present = values.T != 0
    columns = (np.flatnonzero(touched)[:, None] + offsets)[present]
    counts = np.zeros(pixels, np.int64)
    counts[touched.ravel()] = present.sum(axis=1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return scipy.sparse.csr_array((values.T[present], columns, starts), shape=(pixels, pixels))


def _whitened(
    image: Float[np.ndarray, "height width channels"],
    windows: np.ndarray,
    epsilon: float,
) -> Iterator[tuple[np.ndarray, Float[np.ndarray, "channels 9 chunk"]]]:
    """The whitened colours of some windows, by the numbers of windows, chunk by chunk."""
    height, width, channels = image.shape
    columns = width - _SIDE + 1
    planes = image.reshape(height * width, channels).T.astype(np.float64)
    for start in range(0, len(windows), _CHUNK):
        chunk = windows[start : start + _CHUNK]
        corner = chunk // columns * width + chunk % columns
        pixels = np.stack([corner + y * width + x for y, x in _PLACES])
        white = planes[:, pixels]
        white -= white.mean(axis=1, keepdims=True)
        # Cholesky's factor of the covariance, and the colours divided by it, channel by channel.
        factor = np.einsum("ipn,jpn->ijn", white, white) / _AREA
        factor[np.arange(channels), np.arange(channels)] += epsilon / _AREA
        for i in range(channels):
            for j in range(i):
                factor[i, j] -= np.einsum("kn,kn->n", factor[i, :j], factor[j, :j])
                factor[i, j] /= factor[j, j]
                white[i] -= factor[i, j] * white[j]
            factor[i, i] = np.sqrt(factor[i, i] - np.sum(factor[i, :i] ** 2, axis=0))
            white[i] /= factor[i, i]
        yield chunk, white


def _checked(image: np.ndarray, epsilon: float) -> tuple[int, int, int]:
    check_positive(epsilon=epsilon)
    height, width, channels = image.shape
    if min(height, width) < _SIDE:
        raise ValueError(f"An image of {width} x {height} pixels has no window of 3 x 3.")
    return height, width, channels
