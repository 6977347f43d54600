"""Lengths and cosines in float32, the common ground of the joint-embedding losses."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.losses.checks import check_same_shape


def as_float32(x: Float[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """The same numbers in float32, with a gradient that float16 can hold.

    A gradient by short vectors is long: one of float32 may be more than float16's largest number,
    65,504. It is cut off there, and does not become infinite. What is used more than once is made
    float32 once, so that the parts of its gradient add up before.

    Args:
        x: numbers of any floating type.

    Returns:
        The numbers in float32.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> print(float(jax.grad(lambda x: 1e6 * as_float32(x))(jnp.float16(1.0))))
        65504.0
    """
    return _from_float16(x) if x.dtype == jnp.float16 else x.astype(jnp.float32)


@jax.custom_vjp
def _from_float16(x: Float[Array, "*shape"]) -> Float32[Array, "*shape"]:
    return x.astype(jnp.float32)


def _forward(x: Float[Array, "*shape"]) -> tuple[Float32[Array, "*shape"], None]:
    return x.astype(jnp.float32), None


def _backward(_: None, gradient: Float32[Array, "*shape"]) -> tuple[Float[Array, "*shape"]]:
    largest = float(jnp.finfo(jnp.float16).max)
    return (jnp.clip(gradient, -largest, largest).astype(jnp.float16),)


_from_float16.defvjp(_forward, _backward)


def l2_norm(vectors: Float[Array, "*batch dim"]) -> Float[Array, "*batch"]:
    """Length of each vector; the gradient at the zero vector is 0.

    Args:
        vectors: vectors along the last axis, of any length, in float32 or float64.

    Returns:
        The lengths: no square overflows or vanishes on the way.

    Example:
        >>> import jax.numpy as jnp
        >>> print(l2_norm(jnp.array([[3e-30, 4e-30], [0.0, 0.0]])))
        [5.e-30 0.e+00]
    """
    scaled, scale = _scaled(vectors)
    square = jnp.sum(jnp.square(scaled), axis=-1)
    # A root has no finite slope at 0, so it is taken of 1 there and the result thrown away.
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)) * scale[..., 0], 0.0)


def l2_normalize(vectors: Float[Array, "*batch dim"]) -> Float32[Array, "*batch dim"]:
    """Scale each vector to unit length, in float32.

    Args:
        vectors: vectors along the last axis, of any floating type and any length.

    Returns:
        Unit vectors of the same shape. The zero vector stays zero, and its gradient is 0.

    Example:
        >>> import jax.numpy as jnp
        >>> print(l2_normalize(jnp.array([[3.0, 4.0], [0.0, 0.0]])))
        [[0.6 0.8]
         [0.  0. ]]
    """
    scaled, _ = _scaled(as_float32(vectors))
    square = jnp.sum(jnp.square(scaled), axis=-1, keepdims=True)
    return jnp.where(square > 0, scaled * lax.rsqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def _scaled(
    vectors: Float[Array, "*batch dim"],
) -> tuple[Float[Array, "*batch dim"], Float[Array, "*batch 1"]]:
    """Vectors whose largest entry is 1, and the factor that was taken out of each.

    What is made of the two is the same for any factor, which so needs no gradient of its own.
    """
    largest = lax.stop_gradient(jnp.max(jnp.abs(vectors), axis=-1, keepdims=True))
    # Below the least normal number there is nothing to divide by: the vector counts as zero.
    scale = jnp.where(largest >= float(jnp.finfo(vectors.dtype).tiny), largest, 1.0)
    return vectors / scale, scale


def cosine_similarity_matrix(
    left: Float[Array, "left dim"], right: Float[Array, "right dim"]
) -> Float32[Array, "left right"]:
    """Cosine of the angle between every row of `left` and every row of `right`.

    The product runs at the highest precision: a similarity is divided by a temperature as small
    as 0.07, and the default precision of an accelerator keeps eight to ten bits of it.

    Args:
        left: vectors, not necessarily normalised.
        right: vectors, not necessarily normalised.

    Returns:
        Similarities in [-1, 1].

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[0.0, 1.0], [3.0, 0.0]])
        >>> print(cosine_similarity_matrix(x[1:], x))
        [[0. 1.]]
    """
    return jnp.matmul(l2_normalize(left), l2_normalize(right).T, precision=lax.Precision.HIGHEST)


def paired_cosine_similarity(
    left: Float[Array, "batch dim"], right: Float[Array, "batch dim"]
) -> Float32[Array, "batch"]:
    """Cosine of the angle between rows with the same index.

    Args:
        left: vectors, not necessarily normalised.
        right: vectors, not necessarily normalised.

    Returns:
        One similarity in [-1, 1] per row.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[2.0, 0.0], [1.0, 0.0]])
        >>> print(paired_cosine_similarity(x, jnp.array([[1.0, 0.0], [0.0, 5.0]])))
        [1. 0.]
    """
    check_same_shape(left=left, right=right)
    return jnp.sum(l2_normalize(left) * l2_normalize(right), axis=-1)
