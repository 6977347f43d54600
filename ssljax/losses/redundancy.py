"""Losses that remove redundancy between dimensions: Barlow Twins and VICReg."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.losses.checks import check_same_shape


def barlow_twins(
    z1: Float[Array, "batch dim"], z2: Float[Array, "batch dim"], lambd: float = 0.0051
) -> Float32[Array, ""]:
    """Push the cross-correlation of two views towards the identity.

    Each dimension is first standardised over the global batch, as batch norm without affine
    parameters does (biased variance, epsilon 1e-5).

    Args:
        z1: projections of the first view.
        z2: projections of the second view of the same images.
        lambd: weight of the off-diagonal terms.

    Returns:
        Sum of squared deviations from the identity, the off-diagonal ones times `lambd`.

    Raises:
        ValueError: if the shapes differ.

    Reference:
        Zbontar et al., Barlow Twins, 2021, eq. 1 and 2.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> print(f"{barlow_twins(x, x):.2f} {barlow_twins(x, -x):.2f}")
        0.00 8.00
    """
    check_same_shape(z1=z1, z2=z2)
    first, second = _standardize(z1), _standardize(z2)
    correlation = _gram(first, second) / z1.shape[0]
    identity = jnp.eye(z1.shape[1], dtype=jnp.float32)
    weight = jnp.where(identity == 1, 1.0, lambd)
    return jnp.sum(weight * jnp.square(correlation - identity))


def vicreg(
    z1: Float[Array, "batch dim"],
    z2: Float[Array, "batch dim"],
    sim: float = 25.0,
    std: float = 25.0,
    cov: float = 1.0,
) -> Float32[Array, ""]:
    """Variance-invariance-covariance regularisation.

    Args:
        z1: projections of the first view.
        z2: projections of the second view of the same images.
        sim: weight of the invariance term.
        std: weight of the variance term.
        cov: weight of the covariance term.

    Returns:
        The weighted sum of `vicreg_terms`.

    Raises:
        ValueError: if the shapes differ, or the batch has one image, which has no variance.

    Reference:
        Bardes et al., VICReg, 2022, eq. 6, scaled as in the authors' code.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.ones((4, 3))
        >>> print(f"{vicreg(x, x):.2f}")
        24.75
    """
    invariance, variance, covariance = vicreg_terms(z1, z2)
    return sim * invariance + std * variance + cov * covariance


def vicreg_terms(
    z1: Float[Array, "batch dim"], z2: Float[Array, "batch dim"]
) -> tuple[Float32[Array, ""], Float32[Array, ""], Float32[Array, ""]]:
    """The three terms of VICReg, unweighted, over the global batch.

    Args:
        z1: projections of the first view.
        z2: projections of the second view of the same images.

    Returns:
        Invariance: mean squared difference over all entries. Variance: mean hinge of
        1 - √(variance + 1e-4), *averaged* over the views. Covariance: squared off-diagonal
        covariances ÷ dim, *summed* over the views. Variances and covariances are unbiased.

    Raises:
        ValueError: if the shapes differ, or the batch has one image, which has no variance.

    Reference:
        Bardes et al., VICReg, 2022, eq. 1 to 5.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0, 1.0], [-1.0, -1.0]])
        >>> print([f"{term:.2f}" for term in vicreg_terms(x, x)])
        ['0.00', '0.00', '8.00']
    """
    check_same_shape(z1=z1, z2=z2)
    if z1.shape[0] < 2:
        raise ValueError("VICReg needs two images or more: one alone has no variance.")
    first, second = z1.astype(jnp.float32), z2.astype(jnp.float32)
    invariance = jnp.mean(jnp.square(first - second))
    variance = (_std_hinge(first) + _std_hinge(second)) / 2
    covariance = _off_diagonal_covariance(first) + _off_diagonal_covariance(second)
    return invariance, variance, covariance


def _standardize(
    z: Float[Array, "batch dim"], epsilon: float = 1e-5
) -> Float32[Array, "batch dim"]:
    z = z.astype(jnp.float32)
    centered = z - jnp.mean(z, axis=0, keepdims=True)
    variance = jnp.mean(jnp.square(centered), axis=0, keepdims=True)
    return centered * lax.rsqrt(variance + epsilon)


def _gram(
    left: Float32[Array, "batch dim"], right: Float32[Array, "batch dim"]
) -> Float32[Array, "dim dim"]:
    return jnp.matmul(left.T, right, precision=lax.Precision.HIGHEST)


def _std_hinge(z: Float32[Array, "batch dim"]) -> Float32[Array, ""]:
    std = jnp.sqrt(jnp.var(z, axis=0, ddof=1) + 1e-4)
    return jnp.mean(jax.nn.relu(1.0 - std))


def _off_diagonal_covariance(z: Float32[Array, "batch dim"]) -> Float32[Array, ""]:
    batch, dim = z.shape
    centered = z - jnp.mean(z, axis=0, keepdims=True)
    covariance = _gram(centered, centered) / (batch - 1)
    return jnp.sum(jnp.square(covariance), where=~jnp.eye(dim, dtype=bool)) / dim
