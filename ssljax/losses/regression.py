"""Losses that regress one view's embedding from the other's: BYOL and SimSiam.

The second argument of every loss is the target, and no gradient flows to it.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.axes import AxisName, mean_over
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import paired_cosine_similarity


def negative_cosine(
    prediction: Float[Array, "batch dim"], target: Float[Array, "batch dim"]
) -> Float32[Array, ""]:
    """Mean of -cos between prediction and target, one half of SimSiam's loss.

    `negative_cosine(p, z) + negative_cosine(z, p)` has the gradient without stop-gradient.

    Args:
      prediction: Predictor outputs for one view.
      target: Projector outputs for the other view of the same images; gets no gradient.

    Returns:
      A value in [-1, 1].

    Raises:
      ValueError: If prediction and target differ in shape.

    Reference:
      Chen and He, Exploring Simple Siamese Representation Learning, 2021, eq. 1.

    Example:
      >>> import jax.numpy as jnp
      >>> print(negative_cosine(jnp.array([[3.0, 0.0]]), jnp.array([[1.0, 0.0]])))
      -1.0
    """
    return -jnp.mean(paired_cosine_similarity(prediction, lax.stop_gradient(target)))


def simsiam(
    p1: Float[Array, "batch dim"],
    p2: Float[Array, "batch dim"],
    z1: Float[Array, "batch dim"],
    z2: Float[Array, "batch dim"],
) -> Float32[Array, ""]:
    """SimSiam's loss: the *average* of both directions' negative cosine.

    Args:
      p1: Predictions from the first view.
      p2: Predictions from the second view.
      z1: Projections of the first view; get no gradient.
      z2: Projections of the second view; get no gradient.

    Returns:
      A value in [-1, 1].

    Raises:
      ValueError: If prediction and target differ in shape.

    Reference:
      Chen and He, Exploring Simple Siamese Representation Learning, 2021, eq. 4.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[1.0, 0.0]])
      >>> print(simsiam(x, x, x, x))
      -1.0
    """
    return (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2


def byol_regression(
    prediction: Float[Array, "batch dim"], target: Float[Array, "batch dim"]
) -> Float32[Array, ""]:
    """Mean squared distance of l2-normalised vectors, 2 - 2·cos: one view's part of BYOL.

    Args:
      prediction: Predictor outputs of the online network for one view.
      target: Target-network projections of the other view; get no gradient.

    Returns:
      A value in [0, 4].

    Raises:
      ValueError: If prediction and target differ in shape.

    Reference:
      Grill et al., Bootstrap Your Own Latent, 2020, eq. 2.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[1.0, 0.0]])
      >>> print(byol_regression(x, x), byol_regression(x, -x))
      0.0 4.0
    """
    return 2 + 2 * negative_cosine(prediction, target)


def byol(
    p1: Float[Array, "batch dim"],
    p2: Float[Array, "batch dim"],
    z1: Float[Array, "batch dim"],
    z2: Float[Array, "batch dim"],
) -> Float32[Array, ""]:
    """BYOL's loss: the *sum* of both views' regressions, not their mean.

    Args:
      p1: Online predictions from the first view.
      p2: Online predictions from the second view.
      z1: Target projections of the first view; get no gradient.
      z2: Target projections of the second view; get no gradient.

    Returns:
      A value in [0, 8].

    Raises:
      ValueError: If prediction and target differ in shape.

    Reference:
      Grill et al., Bootstrap Your Own Latent, 2020, section 3.1.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[1.0, 0.0]])
      >>> print(byol(x, x, -x, -x))
      8.0
    """
    return byol_regression(p1, z2) + byol_regression(p2, z1)


def normalized_std(
    embeddings: Float[Array, "batch dim"], axis_name: AxisName = None
) -> Float32[Array, ""]:
    """Standard deviation over the batch of l2-normalised embeddings, averaged over dimensions.

    A gauge of collapse, not a loss: 0 when all embeddings point the same way, near 1/√dim when
    they are spread over the sphere.

    Args:
      embeddings: Any embeddings.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The
        gauge is then the whole batch's, the same on every device.

    Returns:
      A value in [0, 1/√dim].

    Reference:
      Chen and He, Exploring Simple Siamese Representation Learning, 2021, section 4.1.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.eye(2)
      >>> print(f"{normalized_std(jnp.stack([x, -x]).reshape(4, 2)):.4f}")
      0.7071
    """
    unit = l2_normalize(embeddings)
    mean = mean_over(jnp.mean(unit, axis=0, keepdims=True), axis_name)
    variance = mean_over(jnp.mean(jnp.square(unit - mean), axis=0), axis_name)
    return jnp.mean(jnp.sqrt(variance))
