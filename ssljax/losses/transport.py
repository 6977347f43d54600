"""Distances of optimal transport: with an entropy, and the exact one on the line."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.axes import AxisName, all_rows, mean_over, on_any_mesh
from ssljax.ops.floats import as_float32
from ssljax.ops.transport import sinkhorn_plan


def sinkhorn_distance(
    cost: Float[Array, "sources targets"],
    a: Float[Array, "sources"],
    b: Float[Array, "targets"],
    epsilon: float,
    iterations: int,
) -> Float32[Array, ""]:
    """Cost of the entropy-regularised transport plan.

    The gradient runs through the iterations, so it is that of the value returned, converged or
    not.

    Args:
      cost: Cost of moving a unit of mass.
      a: Mass of each source, 0 or more, with sum 1.
      b: Mass of each target, 0 or more, with sum 1.
      epsilon: Weight of the entropy, above 0, on the scale of the cost.
      iterations: Rows-then-columns passes, 1 or more.

    Returns:
      The sum of plan times cost; the optimal transport cost in the limit of small `epsilon`.

    Raises:
      ValueError: If `epsilon` is not above 0 or `iterations` is below 1.

    Reference:
      Cuturi, Sinkhorn Distances, 2013, eq. 2 and algorithm 1.

    Example:
      >>> import jax.numpy as jnp
      >>> half = jnp.array([0.5, 0.5])
      >>> cost = jnp.array([[1.0, 3.0], [4.0, 2.0]])
      >>> print(f"{sinkhorn_distance(cost, half, half, epsilon=0.01, iterations=10):.4f}")
      1.5000
    """
    plan = sinkhorn_plan(cost, a, b, epsilon, iterations)
    return jnp.sum(plan * as_float32(cost))


@on_any_mesh()
def wasserstein_1d(
    x: Float[Array, "n"], y: Float[Array, "m"], p: float = 1.0, axis_name: AxisName = None
) -> Float32[Array, ""]:
    """Exact Wasserstein-p distance between two samples of real numbers.

    On the line the optimal plan matches quantiles: sort both, and integrate |difference|^p over
    the common refinement of their steps. Each sample carries equal weights; sizes may differ.

    Args:
      x: First sample.
      y: Second sample.
      p: Order, 1 or more.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which both samples lie. The
        distance is then that of the whole samples, the same on every device: average (`pmean`)
        the gradients.

    Returns:
      (∫ |F_x⁻¹(t) - F_y⁻¹(t)|^p dt)^(1/p); at equal samples the gradient is 0.

    Raises:
      ValueError: If `p` is below 1 or a sample is empty.

    Reference:
      Peyré and Cuturi, Computational Optimal Transport, 2019, section 2.6.

    Example:
      >>> import jax.numpy as jnp
      >>> print(wasserstein_1d(jnp.array([1.0, 0.0]), jnp.array([2.0, 5.0])))
      3.0
    """
    x, y = all_rows(x, axis_name), all_rows(y, axis_name)
    n, m = x.shape[0], y.shape[0]
    if p < 1 or min(n, m) < 1:
        raise ValueError(f"No Wasserstein distance of order {p} between {n} and {m} numbers.")
    # Ends of the steps in units of 1/(n·m): the sizes are static, so the matching is exact.
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    widths = np.diff(ends, prepend=0) / (n * m)
    x_step = jnp.sort(as_float32(x))[(ends - 1) // m]
    y_step = jnp.sort(as_float32(y))[(ends - 1) // n]
    gaps = jnp.abs(x_step - y_step)
    # In units of the largest gap no power of one overflows or vanishes. The root has no finite
    # slope at 0, so the root of 1 is taken there and the result discarded.
    largest = lax.stop_gradient(jnp.max(gaps))
    unit = jnp.where(largest == 0, 1.0, largest)
    total = jnp.sum(jnp.asarray(widths, jnp.float32) * (gaps / unit) ** p)
    distance = unit * jnp.where(total == 0, 1.0, total) ** (1 / p)
    return mean_over(jnp.where(total == 0, 0.0, distance), axis_name)
