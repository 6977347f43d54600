"""Images made half as large, each by a filter of its own."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ssljax.augment.resample import apply_separable

FILTERS = ("nearest", "area", "bilinear", "bicubic", "lanczos")
"""Those of Pillow, where "area" is called BOX."""

_REACH = {"area": 0.5, "bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}
"""How far a kernel reaches, in pixels of the small image."""


def halve(
    images: Float[Array, "batch height width channels"],
    choice: Int[Array, " batch"],
    filters: tuple[str, ...] = FILTERS,
) -> Float[Array, "batch half_height half_width channels"]:
    """Makes every image half as large, by one of several filters.

    Args:
      images: Images of any range, of even sides. What a filter overshoots is not clipped.
      choice: For each image the place of its filter among `filters`.
      filters: Which filters there are.

    Returns:
      The small images, as Pillow's `resize` makes them.

    Raises:
      ValueError: If a side is odd, or a filter unknown.
    """
    height, width = images.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(f"Images of {height}x{width} pixels cannot be halved: make them even.")
    if unknown := sorted(set(filters) - set(FILTERS)):
        raise ValueError(f"There is no filter {unknown[0]!r}; there are {', '.join(FILTERS)}.")
    rows = jnp.asarray(np.stack([_weights(name, height) for name in filters]))[choice]
    columns = jnp.asarray(np.stack([_weights(name, width) for name in filters]))[choice]
    return apply_separable(images, rows, columns)


def _weights(name: str, size: int) -> Float[np.ndarray, "half size"]:
    """Weights of the pixels of an axis in each pixel of the small one; each row's sum is 1."""
    if name == "nearest":
        return np.eye(size, dtype=np.float32)[1::2]
    centre = 2.0 * np.arange(size // 2) + 1.0
    # In pixels of the small image: kernels are widened as the image shrinks.
    distance = np.abs(np.arange(size)[None] + 0.5 - centre[:, None]) / 2.0
    weights = np.where(distance < _REACH[name], _kernel(name, distance), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _kernel(name: str, d: Float[np.ndarray, "_ _"]) -> Float[np.ndarray, "_ _"]:
    if name == "area":
        return np.ones_like(d)
    if name == "bilinear":
        return 1.0 - d
    if name == "bicubic":  # Keys' cubic convolution with a = -0.5.
        near, far = (1.5 * d - 2.5) * d * d + 1.0, ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0
        return np.where(d < 1.0, near, far)
    return np.sinc(d) * np.sinc(d / 3.0)
