"""LeJEPA: embeddings that are an isotropic Gaussian, and views that tell one another's mean."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PRNGKeyArray

from ssljax.ops.axes import AxisName, batch_size, mean_over
from ssljax.ops.floats import as_float32


def sigreg(
    embeddings: Float[Array, "batch dim"],
    key: PRNGKeyArray,
    slices: int = 1024,
    knots: int = 17,
    limit: float = 3.0,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Sketched isotropic Gaussian regularisation: how far embeddings are from a standard normal.

    The embeddings are projected onto random directions. Along each, the Epps-Pulley statistic
    compares their characteristic function with exp(-t^2 / 2), that of N(0, 1):
    batch * integral of |difference|^2 * exp(-t^2 / 2) over t from -limit to limit, by the
    trapezoidal rule. The integrand is even, so that half of it is computed, and doubled.

    Args:
      embeddings: Embeddings of one view.
      key: Of the directions; another one in each step, the same on every device.
      slices: Number of directions, 1 or more.
      knots: Number of values of t from 0 to `limit`, 2 or more.
      limit: Greatest t, above 0.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The statistic's mean over the directions, of the order of 1 for samples of N(0, I).

    Raises:
      ValueError: If there is no direction, fewer than two knots, or nothing to integrate over.

    Reference:
      Balestriero and LeCun, LeJEPA: Provable and Scalable Self-Supervised Learning Without the
      Heuristics, 2025, section 4; `lejepa/univariate/epps_pulley.py` of rbalestr-lab/lejepa.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> normal = jax.random.normal(jax.random.key(0), (256, 8))
      >>> loss = lambda x: sigreg(x, jax.random.key(1), slices=64)
      >>> print(bool(loss(normal) < 1 < 20 < loss(3 * normal)), bool(loss(0 * normal) > 20))
      True True
    """
    if slices < 1 or knots < 2 or not limit > 0:
        raise ValueError(
            f"SIGReg with {slices} slices and {knots} knots up to {limit} computes nothing: it "
            "needs a slice or more, two knots or more and a limit above 0."
        )
    directions = jax.random.normal(key, (embeddings.shape[1], slices))
    directions = directions / jnp.linalg.norm(directions, axis=0, keepdims=True)
    t = np.linspace(0.0, limit, knots)
    weights = np.full(knots, 2.0 * limit / (knots - 1))
    weights[[0, -1]] /= 2.0
    normal = np.exp(-np.square(t) / 2.0)
    projected = as_float32(embeddings) @ directions
    angles = projected[:, :, None] * jnp.asarray(t, jnp.float32)[None, None]
    real = mean_over(jnp.mean(jnp.cos(angles), axis=0), axis_name)
    imaginary = mean_over(jnp.mean(jnp.sin(angles), axis=0), axis_name)
    errors = jnp.square(real - jnp.asarray(normal, jnp.float32)[None]) + jnp.square(imaginary)
    statistic = errors @ jnp.asarray(weights * normal, jnp.float32)
    return jnp.mean(statistic) * batch_size(embeddings, axis_name)


def mean_view_prediction(
    embeddings: Sequence[Float[Array, "batch dim"]] | Float[Array, "views batch dim"],
    global_views: int = 2,
) -> Float32[Array, ""]:
    """Squared distance of every view to the mean of the global views of its image.

    There is no target: gradients flow to the mean as well.

    Args:
      embeddings: One array per view, the global views first.
      global_views: How many of them are global.

    Returns:
      The mean over views, images and dimensions.

    Raises:
      ValueError: If there are no global views, or fewer views than that.

    Reference:
      Balestriero and LeCun, LeJEPA, 2025, section 5.

    Example:
      >>> import jax.numpy as jnp
      >>> print(mean_view_prediction(jnp.array([[[0.0]], [[2.0]], [[4.0]]])))
      3.6666667
    """
    if not 0 < global_views <= len(embeddings):
        raise ValueError(f"{global_views} of {len(embeddings)} views cannot be global.")
    views = jnp.stack([as_float32(embeddings[i]) for i in range(len(embeddings))])
    center = jnp.mean(views[:global_views], axis=0, keepdims=True)
    return jnp.mean(jnp.square(views - center))
