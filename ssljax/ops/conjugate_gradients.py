"""Linear systems over the pixels of an image: conjugate gradients with a multigrid preconditioner.

They are solved in float64 on the host. The matrices of matting have condition numbers far beyond
float32's digits, accelerators have float64 slowly or not at all, and what is unknown is often a
small, ragged part of the image, which a sparse matrix holds and an array of the image's shape does
not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from jaxtyping import Float, Int

Operator = Callable[[Float[np.ndarray, "unknowns"]], Float[np.ndarray, "unknowns"]]
"""A linear map."""
Progress = Callable[[int, float], None]
"""Is told the iterations done, and what is left of the residual, as a part of the right side."""

_COARSEST = 1000
"""Unknowns of a system that is solved directly."""


def conjugate_gradients(
    matrix: scipy.sparse.csr_array,
    right: Float[np.ndarray, "unknowns"],
    preconditioner: Operator,
    tolerance: float = 1e-7,
    max_iterations: int = 10_000,
    progress: Progress | None = None,
) -> Float[np.ndarray, "unknowns"]:
    """Solves a system with a symmetric positive definite matrix.

    Args:
      matrix: Of the system, in float64.
      right: Its right side.
      preconditioner: Nearly the inverse; symmetric and positive definite as well.
      tolerance: Ends when the residual's norm is below this part of the right side's.
      max_iterations: Most products with the matrix.
      progress: Is called after each iteration.

    Returns:
      The solution.

    Raises:
      ValueError: If the tolerance is not met within `max_iterations`.

    Reference:
      Shewchuk, An Introduction to the Conjugate Gradient Method Without the Agonizing Pain, 1994,
      appendix B3.

    Example:
      >>> import numpy as np
      >>> import scipy.sparse
      >>> matrix = scipy.sparse.csr_array(np.diag([2.0, 4.0]))
      >>> print(conjugate_gradients(matrix, np.array([2.0, 2.0]), lambda x: x).round(6))
      [1.  0.5]
    """
    solution = np.zeros_like(right)
    residual = right.copy()
    scale = np.linalg.norm(right)
    if not scale:
        return solution
    near = preconditioner(residual)
    direction, size = near.copy(), residual @ near
    left = 1.0
    for iteration in range(1, max_iterations + 1):
        product = matrix @ direction
        step = size / (direction @ product)
        solution += step * direction
        residual -= step * product
        left = float(np.linalg.norm(residual) / scale)
        if progress is not None:
            progress(iteration, left)
        if left < tolerance:
            return solution
        near = preconditioner(residual)
        size, previous = residual @ near, size
        direction *= size / previous
        direction += near
    raise ValueError(
        f"Conjugate gradients left {left:.1e} of the residual after {max_iterations} iterations, "
        f"not {tolerance:.1e}: allow more of them, or a greater tolerance."
    )


class _Level(NamedTuple):
    """One of the systems between the finest and the coarsest."""

    matrix: scipy.sparse.csr_array
    damping: Float[np.ndarray, "unknowns"]
    enlarge: scipy.sparse.csr_array
    shrink: scipy.sparse.csr_array


def multigrid(
    matrix: scipy.sparse.csr_array,
    rows: Int[np.ndarray, "unknowns"],
    columns: Int[np.ndarray, "unknowns"],
) -> Operator:
    """Makes a preconditioner: one V-cycle over systems of ever fewer, larger pixels.

    Unknowns in the same square of 2 x 2 become one, until a thousand are left, which are solved
    directly. On each level two sweeps of Jacobi's method smooth the residual. They are damped by
    the sum of a row's absolute values, by which they converge for every such matrix. All systems
    together hold about 1.15 times as many numbers as the first.

    Args:
      matrix: Symmetric and positive definite.
      rows: Of the pixel of each unknown.
      columns: Likewise.

    Returns:
      The map from a residual to nearly the error, symmetric and positive definite.

    Reference:
      Briggs, Henson and McCormick, A Multigrid Tutorial, 2000, chapters 3 and 8; Baker et al.,
      Multigrid Smoothers for Ultraparallel Computing, 2011, section 3, for the damping.

    Example:
      >>> import numpy as np
      >>> import scipy.sparse
      >>> matrix = scipy.sparse.csr_array(np.diag([2.0, 4.0]))
      >>> print(multigrid(matrix, np.array([0, 5]), np.array([0, 5]))(np.array([2.0, 2.0])))
      [1.  0.5]
    """
    levels = []
    while len(rows) > _COARSEST:
        damping = 1 / np.asarray(abs(matrix).sum(axis=1)).ravel()
        rows, columns = rows // 2, columns // 2
        width = int(columns.max()) + 1
        squares, square = np.unique(rows * width + columns, return_inverse=True)
        count = len(square)
        enlarge = scipy.sparse.csr_array(
            (np.ones(count), square, np.arange(count + 1)), shape=(count, len(squares))
        )
        shrink = enlarge.T.tocsr()
        levels.append(_Level(matrix, damping, enlarge, shrink))
        if len(squares) == count:  # Unknowns that lie far apart do not join.
            break
        matrix = (shrink @ matrix @ enlarge).tocsr()
        rows, columns = np.divmod(squares, width)
    solve = scipy.sparse.linalg.splu(matrix.tocsc()).solve

    def cycle(residual: np.ndarray, depth: int = 0) -> np.ndarray:
        if depth == len(levels):
            return np.asarray(solve(residual))
        level = levels[depth]
        error = level.damping * residual
        coarse = cycle(level.shrink @ (residual - level.matrix @ error), depth + 1)
        error += level.enlarge @ coarse
        error += level.damping * (residual - level.matrix @ error)
        return error

    return cycle
