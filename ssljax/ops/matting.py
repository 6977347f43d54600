"""Natural image matting: the opacity of the foreground, and the colours of both layers.

An image is taken for a mixture, I = α F + (1 - α) B, of a foreground and a background.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from ssljax.ops.conjugate_gradients import Progress, conjugate_gradients, multigrid
from ssljax.ops.matting_laplacian import EPSILON, sparse_laplacian

TOLERANCE, MAX_ITERATIONS = 1e-7, 10_000
_SURE_FOREGROUND, _SURE_BACKGROUND = 0.9, 0.1
"""Opacities beyond which a pixel's colour counts for the mean colour of a layer."""
_SMALL = 32
_SWEEPS_SMALL, _SWEEPS_LARGE = 10, 2
_SMOOTHNESS = 1e-5


def estimate_alpha(
    image: Float[np.ndarray, "height width channels"],
    foreground: Bool[np.ndarray, "rows columns"],
    background: Bool[np.ndarray, "_ _"],
    epsilon: float = EPSILON,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    progress: Progress | None = None,
) -> Float64[np.ndarray, "height width"]:
    """Estimates the opacity of pixels that are partly foreground.

    The opacity is as nearly as possible an affine function of the colours in each window of 3 x 3
    pixels. That of known pixels is exactly 0 or 1, and the others solve a system of their own, in
    float64 on the host. It takes about 1 kB of memory for each unknown pixel.

    Args:
      image: In [0, 1].
      foreground: Pixels that are known to be foreground.
      background: Pixels that are known to be background.
      epsilon: Strength of the regularisation, above 0; greater makes the opacity smoother.
      tolerance: Ends when the residual's norm is below this part of the right side's.
      max_iterations: Most iterations of conjugate gradients.
      progress: Is told after each iteration how far it is.

    Returns:
      The opacity, in [0, 1].

    Raises:
      ValueError: If the sizes differ, a pixel is known to be both, there is no foreground or no
        background, the image is smaller than 3 x 3, or the tolerance is not met.

    Reference:
      Levin et al., A Closed-Form Solution to Natural Image Matting, 2008; without their weight λ,
      in the limit of which known pixels are exact.

    Example:
      >>> import numpy as np
      >>> row = np.array([0.0, 0.0, 1.0, 1.0])
      >>> image, column = np.tile(row[:, None], (3, 1, 1)), np.tile(np.arange(4), (3, 1))
      >>> print(abs(estimate_alpha(image, column == 3, column == 0)[1].round(3)))
      [0. 0. 1. 1.]
    """
    if not image.shape[:2] == foreground.shape == background.shape:
        raise ValueError(
            f"The image {image.shape[:2]}, its foreground {foreground.shape} and its background "
            f"{background.shape} must have one size."
        )
    for name, mask in (("foreground", foreground), ("background", background)):
        if not mask.any():
            raise ValueError(f"No pixel is known to be {name}: mark some.")
    if (foreground & background).any():
        raise ValueError("Some pixels are known to be foreground and background at once.")
    alpha = foreground.astype(np.float64)
    known = foreground | background
    if known.all():
        return alpha
    rows, columns = np.nonzero(~known)
    of_unknown = sparse_laplacian(image, epsilon, known)[np.flatnonzero(~known)]
    right = -(of_unknown @ alpha.ravel())
    matrix = of_unknown[:, np.flatnonzero(~known)]
    del of_unknown
    solution = conjugate_gradients(
        matrix, right, multigrid(matrix, rows, columns), tolerance, max_iterations, progress
    )
    alpha[~known] = np.clip(solution, 0, 1)
    return alpha


def estimate_layers(
    image: Float[np.ndarray, "height width channels"],
    alpha: Float[np.ndarray, "rows columns"],
) -> tuple[
    Float32[np.ndarray, "height width channels"], Float32[np.ndarray, "height width channels"]
]:
    """Estimates the colours of the foreground and of the background.

    Both mix to the image, and are smooth, above all where the opacity changes. They are found from
    coarse images to fine ones, with a few sweeps over each; a sweep does the pixels of a chequered
    board's one colour, then of the other. It takes about 300 bytes a pixel.

    Args:
      image: In [0, 1].
      alpha: Opacity of the foreground, in [0, 1].

    Returns:
      Foreground and background, in [0, 1].

    Raises:
      ValueError: If the sizes differ.

    Reference:
      Germer et al., Fast Multi-Level Foreground Estimation (arXiv:2006.14970), 2020.

    Example:
      >>> import numpy as np
      >>> front, back = estimate_layers(np.full((2, 2, 1), 0.5), np.zeros((2, 2)))
      >>> print(back[0, 0])
      [0.5]
    """
    if image.shape[:2] != alpha.shape:
        raise ValueError(
            f"The image {image.shape[:2]} and its opacity {alpha.shape} must have one size."
        )
    image, alpha = image.astype(np.float32), alpha.astype(np.float32)
    height, width = alpha.shape
    front = _mean_color(image, alpha > _SURE_FOREGROUND)
    back = _mean_color(image, alpha < _SURE_BACKGROUND)
    levels = max(1, int(np.ceil(np.log2(max(height, width)))))
    for level in range(levels + 1):
        size = (round(height ** (level / levels)), round(width ** (level / levels)))
        sweeps = _SWEEPS_SMALL if max(size) <= _SMALL else _SWEEPS_LARGE
        front, back = _sweep(
            _resize(image, size),
            _resize(alpha, size),
            _resize(front, size),
            _resize(back, size),
            sweeps,
        )
    return front, back


def _sweep(
    image: np.ndarray, alpha: np.ndarray, front: np.ndarray, back: np.ndarray, sweeps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solves each pixel's two equations, given its four neighbours, some times over."""
    height, width = alpha.shape
    weights = [_SMOOTHNESS + abs(alpha - other) for other in _neighbors(alpha)]
    total = np.sum(weights, axis=0)
    opaque, clear = alpha, 1 - alpha
    front_front, back_back, mixed = opaque**2 + total, clear**2 + total, opaque * clear
    determinant = front_front * back_back - mixed**2
    chequers = np.indices((height, width)).sum(axis=0) % 2 == 1
    for _ in range(sweeps):
        for board in (~chequers, chequers):
            right_front, right_back = opaque[..., None] * image, clear[..., None] * image
            for weight, f, b in zip(weights, _neighbors(front), _neighbors(back), strict=True):
                right_front += weight[..., None] * f
                right_back += weight[..., None] * b
            new_front = back_back[..., None] * right_front - mixed[..., None] * right_back
            new_back = front_front[..., None] * right_back - mixed[..., None] * right_front
            for layer, new in ((front, new_front), (back, new_back)):
                new /= determinant[..., None]
                np.copyto(layer, np.clip(new, 0, 1), where=board[..., None])
    return front, back


def _neighbors(layer: np.ndarray) -> list[np.ndarray]:
    """The layer moved by one pixel to each of four sides; the border repeats itself."""
    return [
        np.concatenate([layer[:, :1], layer[:, :-1]], axis=1),
        np.concatenate([layer[:, 1:], layer[:, -1:]], axis=1),
        np.concatenate([layer[:1], layer[:-1]], axis=0),
        np.concatenate([layer[1:], layer[-1:]], axis=0),
    ]


def _mean_color(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """A picture of one pixel; black where no pixel counts."""
    mean = image[where].mean(axis=0) if where.any() else np.zeros(image.shape[2])
    return mean.astype(np.float32)[None, None]


def _resize(layer: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The nearest pixels, in a copy."""
    rows, columns = (
        np.arange(new) * old // new for new, old in zip(size, layer.shape, strict=False)
    )
    return np.ascontiguousarray(layer[rows][:, columns])
