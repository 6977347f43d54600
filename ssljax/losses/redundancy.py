"""Losses that remove redundancy between dimensions: Barlow Twins and VICReg."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.axes import AxisName, batch_size, mean_over, on_any_mesh, sum_over
from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32


@on_any_mesh()
def barlow_twins(
    z1: Float[Array, "batch dim"],
    z2: Float[Array, "batch dim"],
    lambd: float = 0.0051,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Pushs the cross-correlation of two views towards the identity.

    Each dimension is first standardised over the global batch, as batch norm without affine
    parameters does (biased variance, epsilon 1e-5). The epsilon is absolute, as in the authors'
    code: the scale of a dimension does not matter while its deviation is well above 0.003.

    Args:
      z1: Projections of the first view.
      z2: Projections of the second view of the same images.
      lambd: Weight of the off-diagonal terms.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      Sum of squared deviations from the identity, the off-diagonal ones times `lambd`.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Zbontar et al., Barlow Twins, 2021, eq. 1 and 2.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> print(f"{barlow_twins(x, x):.2f} {barlow_twins(x, -x):.2f}")
      0.00 8.00
    """
    check_same_shape(z1=z1, z2=z2)
    first, second = _standardize(z1, axis_name), _standardize(z2, axis_name)
    correlation = sum_over(_gram(first, second), axis_name) / batch_size(z1, axis_name)
    identity = jnp.eye(z1.shape[1], dtype=jnp.float32)
    weight = jnp.where(identity == 1, 1.0, lambd)
    return jnp.sum(weight * jnp.square(correlation - identity))


@on_any_mesh()
def vicreg(
    z1: Float[Array, "batch dim"],
    z2: Float[Array, "batch dim"],
    sim: float = 25.0,
    std: float = 25.0,
    cov: float = 1.0,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Variance-invariance-covariance regularisation.

    Args:
      z1: Projections of the first view.
      z2: Projections of the second view of the same images.
      sim: Weight of the invariance term.
      std: Weight of the variance term.
      cov: Weight of the covariance term.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The weighted sum of `vicreg_terms`.

    Raises:
      ValueError: If the shapes differ, or the batch has one image, which has no variance.

    Reference:
      Bardes et al., VICReg, 2022, eq. 6, scaled as in the authors' code.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.ones((4, 3))
      >>> print(f"{vicreg(x, x):.2f}")
      24.75
    """
    invariance, variance, covariance = vicreg_terms(z1, z2, axis_name)
    return sim * invariance + std * variance + cov * covariance


@on_any_mesh()
def vicreg_terms(
    z1: Float[Array, "batch dim"], z2: Float[Array, "batch dim"], axis_name: AxisName = None
) -> tuple[Float32[Array, ""], Float32[Array, ""], Float32[Array, ""]]:
    """The three terms of VICReg, unweighted, over the global batch.

    Args:
      z1: Projections of the first view.
      z2: Projections of the second view of the same images.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The
        terms are then the whole batch's, the same on every device: average (`pmean`) the
        gradients.

    Returns:
      Invariance: Mean squared difference over all entries. Variance: mean hinge of
      1 - √(variance + 1e-4), *averaged* over the views. Covariance: squared off-diagonal
      covariances ÷ dim, *summed* over the views. Variances and covariances are unbiased.

    Raises:
      ValueError: If the shapes differ, or the batch has one image, which has no variance.

    Reference:
      Bardes et al., VICReg, 2022, eq. 1 to 5.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[1.0, 1.0], [-1.0, -1.0]])
      >>> print([f"{term:.2f}" for term in vicreg_terms(x, x)])
      ['0.00', '0.00', '8.00']
    """
    check_same_shape(z1=z1, z2=z2)
    if batch_size(z1, axis_name) < 2:
        raise ValueError("VICReg needs two images or more: one alone has no variance.")
    first, second = as_float32(z1), as_float32(z2)
    invariance = mean_over(jnp.mean(jnp.square(first - second)), axis_name)
    variance, covariance = jnp.float32(0.0), jnp.float32(0.0)
    for view in (first, second):
        centered = _centered(view, axis_name)
        variance += _std_hinge(centered, axis_name) / 2
        covariance += _off_diagonal_covariance(centered, axis_name)
    return invariance, variance, covariance


def _standardize(z: Float[Array, "batch dim"], axis_name: AxisName) -> Float32[Array, "batch dim"]:
    centered = _centered(as_float32(z), axis_name)
    variance = mean_over(jnp.mean(jnp.square(centered), axis=0, keepdims=True), axis_name)
    return centered * lax.rsqrt(variance + 1e-5)


def _centered(z: Float32[Array, "batch dim"], axis_name: AxisName) -> Float32[Array, "batch dim"]:
    return z - mean_over(jnp.mean(z, axis=0, keepdims=True), axis_name)


def _gram(
    left: Float32[Array, "batch dim"], right: Float32[Array, "batch dim"]
) -> Float32[Array, "dim dim"]:
    return jnp.matmul(left.T, right, precision=lax.Precision.HIGHEST)


def _std_hinge(centered: Float32[Array, "batch dim"], axis_name: AxisName) -> Float32[Array, ""]:
    squares = sum_over(jnp.sum(jnp.square(centered), axis=0), axis_name)
    std = jnp.sqrt(squares / (batch_size(centered, axis_name) - 1) + 1e-4)
    return jnp.mean(jax.nn.relu(1.0 - std))


def _off_diagonal_covariance(
    centered: Float32[Array, "batch dim"], axis_name: AxisName
) -> Float32[Array, ""]:
    dim = centered.shape[1]
    products = sum_over(_gram(centered, centered), axis_name)
    covariance = products / (batch_size(centered, axis_name) - 1)
    return jnp.sum(jnp.square(covariance), where=~jnp.eye(dim, dtype=bool)) / dim
