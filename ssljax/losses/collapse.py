"""Gauges of collapse: how many directions a batch of embeddings uses. None of them is a loss."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.losses.regression import normalized_std


def effective_rank(embeddings: Float[Array, "batch dim"]) -> Float32[Array, ""]:
    """RankMe: exponential of the entropy of the normalised singular values.

    The singular values are roots of the eigenvalues of the smaller Gram matrix, which costs little
    beside a forward pass. In float32 that leaves those below about 0.002 times the largest to
    rounding; they count as 0. The embeddings are not centred, as in the paper.

    Args:
        embeddings: any embeddings.

    Returns:
        A value in [1, min(batch, dim)]: 1 when all embeddings lie on one line, n when they spread
        alike over n orthogonal directions. It is 1 for embeddings that are all zero.

    Reference:
        Garrido et al., RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised
        Representations by Their Rank, 2023, eq. 1.

    Example:
        >>> import jax.numpy as jnp
        >>> print(f"{effective_rank(jnp.eye(4)):.4f} {effective_rank(jnp.ones((4, 4))):.4f}")
        4.0000 1.0000
    """
    batch, dim = embeddings.shape
    rows = embeddings.astype(jnp.float32)
    if batch < dim:
        rows = rows.T
    gram = jnp.matmul(rows.T, rows, precision=lax.Precision.HIGHEST)
    # Identical rows add up equal rounding errors: eigenvalues of 0 were seen to come out as large
    # as 17 units in the last place of the largest.
    tiniest = 32 * jnp.finfo(jnp.float32).eps
    scale = jnp.maximum(jnp.trace(gram), jnp.finfo(jnp.float32).tiny)
    square = jnp.linalg.eigvalsh(gram / scale)
    singular = jnp.sqrt(jnp.where(square > tiniest * square[-1], square, 0.0))
    share = singular / jnp.maximum(jnp.sum(singular), jnp.finfo(jnp.float32).tiny)
    logarithm = jnp.log(jnp.where(share > 0, share, 1.0))
    return jnp.exp(-jnp.sum(share * logarithm))


def collapse_metrics(embeddings: Float[Array, "batch dim"]) -> dict[str, Float32[Array, ""]]:
    """Both gauges of collapse, by the names that they have in a log.

    Args:
        embeddings: any embeddings.

    Returns:
        "embedding_std": `normalized_std`, which falls to 0 when all embeddings point the same way;
        "effective_rank": `effective_rank`, which also falls when they keep to a few directions.

    Reference:
        Jing et al., Understanding Dimensional Collapse in Contrastive Self-supervised Learning,
        2022, section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
        >>> {name: round(float(value), 4) for name, value in collapse_metrics(x).items()}
        {'embedding_std': 0.5, 'effective_rank': 1.0}
    """
    return {
        "embedding_std": normalized_std(embeddings),
        "effective_rank": effective_rank(embeddings),
    }
