"""Optimal transport by Sinkhorn's algorithm in the log domain."""

import functools
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32

from ssljax.ops.axes import AxisName, sum_over
from ssljax.ops.checks import check_positive
from ssljax.ops.floats import as_float32


def sinkhorn_potentials(
    log_kernels: Sequence[Float[Array, "rows _"]],
    log_row_mass: Float[Array, "rows"],
    log_column_masses: Sequence[Float[Array, "_"]],
    iterations: int,
    axis_name: AxisName = None,
) -> tuple[Float32[Array, "rows"], list[Float32[Array, "_"]]]:
    """Scales the rows and then the columns of a positive matrix to given sums, again and again.

    The columns may come in several blocks, which are never joined: only row sums are shared. When
    the columns lie on several devices, nothing but row sums crosses them.

    Args:
      log_kernels: The logarithm of the matrix, in blocks of columns.
      log_row_mass: Logarithm of each row's sum; -inf for an empty row.
      log_column_masses: Logarithm of each column's sum, block by block.
      iterations: Rows-then-columns passes, 1 or more.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the columns of the first
        block lie; the other blocks are whole on every device.

    Returns:
      Row potential f, and one column potential g per block: exp(log_kernel + f + g) has exact
      column sums, and row sums that become exact with more iterations.

    Raises:
      ValueError: If `iterations` is below 1.

    Reference:
      Peyré and Cuturi, Computational Optimal Transport, 2019, section 4.4.

    Example:
      >>> import jax.numpy as jnp
      >>> f, (g,) = sinkhorn_potentials([jnp.zeros((2, 4))], jnp.zeros(2), [jnp.zeros(4)], 1)
      >>> print(jnp.exp(f[:, None] + g[None, :])[0])
      [0.5 0.5 0.5 0.5]
    """
    if iterations < 1:
        raise ValueError(f"Sinkhorn needs one iteration or more, got {iterations}.")

    def scale_rows(matrices: Iterable[Array]) -> Array:
        sums = [jax.nn.logsumexp(matrix, axis=1) for matrix in matrices]
        if axis_name is not None:
            largest = lax.pmax(lax.stop_gradient(sums[0]), axis_name)
            sums[0] = largest + jnp.log(sum_over(jnp.exp(sums[0] - largest), axis_name))
        return log_row_mass - functools.reduce(jnp.logaddexp, sums)

    def scale_columns(row: Array) -> list[Array]:
        return [
            mass - jax.nn.logsumexp(kernel + row[:, None], axis=0)
            for kernel, mass in zip(log_kernels, log_column_masses, strict=True)
        ]

    # The backward pass recomputes an iteration instead of keeping its matrices.
    @jax.checkpoint
    def iteration(row: Array, _: None) -> tuple[Array, None]:
        columns = zip(log_kernels, scale_columns(row), strict=True)
        return scale_rows(kernel + column[None, :] for kernel, column in columns), None

    row, _ = lax.scan(iteration, scale_rows(log_kernels), None, length=iterations - 1)
    return row, scale_columns(row)


def sinkhorn_plan(
    cost: Float[Array, "sources targets"],
    a: Float[Array, "sources"],
    b: Float[Array, "targets"],
    epsilon: float,
    iterations: int,
) -> Float32[Array, "sources targets"]:
    """Entropy-regularised transport plan between two histograms.

    Args:
      cost: Cost of moving a unit of mass.
      a: Mass of each source, 0 or more, with sum 1.
      b: Mass of each target, 0 or more, with sum 1.
      epsilon: Weight of the entropy, above 0, on the scale of the cost. The smaller it is, the
        nearer the plan is to the optimal one and the more iterations it takes.
      iterations: Rows-then-columns passes, 1 or more.

    Returns:
      The plan. Its columns sum to `b`; its rows sum to `a` once converged.

    Raises:
      ValueError: If `epsilon` is not above 0 or `iterations` is below 1.

    Reference:
      Cuturi, Sinkhorn Distances, 2013, algorithm 1.

    Example:
      >>> import jax.numpy as jnp
      >>> half = jnp.array([0.5, 0.5])
      >>> print(sinkhorn_plan(1 - jnp.eye(2), half, half, epsilon=0.01, iterations=10))
      [[0.5 0. ]
       [0.  0.5]]
    """
    check_positive(epsilon=epsilon)
    log_kernel = -as_float32(cost) / epsilon
    log_a, log_b = jnp.log(as_float32(a)), jnp.log(as_float32(b))
    row, (column,) = sinkhorn_potentials([log_kernel], log_a, [log_b], iterations)
    return jnp.exp(log_kernel + row[:, None] + column[None, :])


def sinkhorn_knopp(
    scores: Float[Array, "batch prototypes"],
    epsilon: float | Float[Array, ""] = 0.05,
    iterations: int = 3,
    queue_scores: Float[Array, "size prototypes"] | None = None,
    axis_name: AxisName = None,
    present: Bool[Array, "batch"] | None = None,
) -> Float32[Array, "batch prototypes"]:
    """Turns similarities into codes that use all prototypes equally.

    Each pass first gives every prototype the same total, then every sample. The samples of the
    batch and of the queue take part alike, but only the batch's codes come back: the two are never
    joined, so a batch that is sharded over devices stays where it is, and only one sum per
    prototype crosses between them.

    Args:
      scores: Similarities of the batch's l2-normalised features and prototypes.
      epsilon: Sharpness, above 0; small values give hard codes.
      iterations: Prototypes-then-samples passes, 1 or more.
      queue_scores: Likewise for stored features of earlier batches, under the *current*
        prototypes; given only once the queue is full.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies; the
        queue is whole on every device. The codes are then those of this device's samples among
        the whole batch's.
      present: False for rows that only fill up the batch: they take no part, and their codes are 0.
        At least one row of the whole batch is present. None: all are.

    Returns:
      One distribution over the prototypes per sample of the batch, without gradient.

    Raises:
      ValueError: If `epsilon` is not above 0 or `iterations` is below 1.

    Reference:
      Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments,
      2020, eq. 3 to 5 and appendix A.

    Example:
      >>> import jax.numpy as jnp
      >>> codes = sinkhorn_knopp(jnp.array([[1.0, 0.0], [0.9, 0.0]]), iterations=50)
      >>> print(f"{codes[0, 0]:.2f} {codes[1, 0]:.2f}")
      0.73 0.27
    """
    check_positive(epsilon=epsilon)
    blocks = [scores] if queue_scores is None else [scores, queue_scores]
    # Prototypes are the rows. Their common total needs no scale: each pass ends with the samples.
    kernels = [as_float32(lax.stop_gradient(block)).T / epsilon for block in blocks]
    masses = [jnp.zeros(kernel.shape[1], jnp.float32) for kernel in kernels]
    if present is not None:
        # Finite, since their own potentials are the difference of it and their mass.
        kernels[0] = jnp.where(present[None], kernels[0], -1e9)
        masses[0] = jnp.where(present, 0.0, -jnp.inf)
    prototype, samples = sinkhorn_potentials(
        kernels,
        jnp.zeros(scores.shape[1], jnp.float32),
        masses,
        iterations,
        axis_name,
    )
    return jnp.exp(kernels[0] + prototype[:, None] + samples[0][None, :]).T
