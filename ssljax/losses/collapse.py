"""Gauges of collapse: how many directions a batch of embeddings uses. None of them is a loss."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import entr
from jaxtyping import Array, Float, Float32

from ssljax.losses.clustering import prototype_entropy
from ssljax.losses.regression import normalized_std

_LEAST_SPREAD = 0.1
_LEAST_ENTROPY = 0.05
"""What still counts as healthy, as shares of the spread and of the entropy of even use."""
_LEAST_RANK = 1.05
"""Effective rank below which embeddings lie on a line: 97.5 % of the variance in one direction."""
_LEAST_CERTAINTY = 0.01
"""Nats below the largest entropy that a sample's assignment must have, on average."""
_LEAST_PIXEL_SPREAD = 0.05
"""Share of the real images' spread below which the generated ones are all the same."""


def effective_rank(embeddings: Float[Array, "batch dim"]) -> Float32[Array, ""]:
    """Number of directions in which embeddings vary: the participation ratio of their covariance.

    (Σλ)² / Σλ² over the covariance's eigenvalues λ, which are never computed: the sums are the
    traces of the smaller Gram matrix and of its square. So it is cheap enough for every step.

    Args:
        embeddings: any embeddings.

    Returns:
        A value in [1, min(batch - 1, dim)]: n when they vary alike in n orthogonal directions, 1
        when they lie on one line or do not vary at all.

    Reference:
        Gao et al., A theory of multineuronal dimensionality, dynamics and measurement, 2017, eq. 5;
        it is the exponential of the Rényi entropy of order 2, where `rankme` has Shannon's.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.concatenate([jnp.eye(4), -jnp.eye(4)])
        >>> print(f"{effective_rank(x):.4f} {effective_rank(x[:, :1]):.4f}")
        4.0000 1.0000
    """
    rows = embeddings.astype(jnp.float32)
    # Scaled first: the fourth power of a large value would overflow.
    tiny = jnp.finfo(jnp.float32).tiny
    rows = rows / jnp.maximum(jnp.max(jnp.abs(rows)), tiny)
    gram = _smaller_gram(rows - jnp.mean(rows, axis=0, keepdims=True))
    total = jnp.trace(gram)
    gram = gram / jnp.maximum(total, tiny)
    return jnp.where(total > 0, 1 / jnp.maximum(jnp.sum(gram**2), tiny), 1.0)


def rankme(embeddings: Float[Array, "batch dim"]) -> Float32[Array, ""]:
    """RankMe: exponential of the entropy of the normalised singular values.

    The singular values are roots of the eigenvalues of the smaller Gram matrix. In float32 that
    leaves those below about 0.002 times the largest to rounding; they count as 0. The embeddings
    are not centred, as in the paper. An eigenvalue problem is slow on accelerators: this is for
    evaluations, `effective_rank` for every step.

    Args:
        embeddings: any embeddings.

    Returns:
        A value in [1, min(batch, dim)]: 1 when all embeddings lie on one line through 0, n when
        they spread alike over n orthogonal directions. It is 1 for embeddings that are all zero.

    Reference:
        Garrido et al., RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised
        Representations by Their Rank, 2023, eq. 1.

    Example:
        >>> import jax.numpy as jnp
        >>> print(f"{rankme(jnp.eye(4)):.4f} {rankme(jnp.ones((4, 4))):.4f}")
        4.0000 1.0000
    """
    gram = _smaller_gram(embeddings.astype(jnp.float32))
    # Identical rows add up equal rounding errors: eigenvalues of 0 were seen to come out as large
    # as 17 units in the last place of the largest.
    tiniest = 32 * jnp.finfo(jnp.float32).eps
    scale = jnp.maximum(jnp.trace(gram), jnp.finfo(jnp.float32).tiny)
    square = jnp.linalg.eigvalsh(gram / scale)
    singular = jnp.sqrt(jnp.where(square > tiniest * square[-1], square, 0.0))
    share = singular / jnp.maximum(jnp.sum(singular), jnp.finfo(jnp.float32).tiny)
    logarithm = jnp.log(jnp.where(share > 0, share, 1.0))
    return jnp.exp(-jnp.sum(share * logarithm))


def _smaller_gram(rows: Float32[Array, "batch dim"]) -> Float32[Array, "n n"]:
    """Products of all pairs of rows or, if they are fewer, of columns."""
    if rows.shape[0] < rows.shape[1]:
        rows = rows.T
    return jnp.matmul(rows.T, rows, precision=lax.Precision.HIGHEST)


def collapse_metrics(
    embeddings: Float[Array, "batch dim"],
    logits: Float[Array, "batch prototypes"] | None = None,
) -> dict[str, Float32[Array, ""]]:
    """All gauges of collapse, by the names that they have in a log.

    Args:
        embeddings: any embeddings.
        logits: similarities to prototypes, divided by the temperature, of a method that assigns its
            images to them.

    Returns:
        "embedding_std": `normalized_std`, which falls to 0 when all embeddings point the same way.
        "effective_rank": `effective_rank`, which also falls when they keep to a few directions.
        "assignment_entropy", if there are logits: `prototype_entropy`, in nats, which falls to 0
        when all samples choose one prototype.
        "sample_entropy", if there are logits: mean entropy of each sample's own softmax, in nats,
        which rises to ln(prototypes) when the prototypes are all the same.
        "collapsed": 1 if the deviation is below a tenth of the 1/√dim of embeddings that spread
        over the sphere, the rank below 1.05 where 3 or more were possible, the assignments' entropy
        below a twentieth of its largest value, or the samples' within 0.01 of theirs; otherwise 0.

    Reference:
        Jing et al., Understanding Dimensional Collapse in Contrastive Self-supervised Learning,
        2022, section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
        >>> {name: round(float(value), 4) for name, value in collapse_metrics(x).items()}
        {'embedding_std': 0.5, 'effective_rank': 1.0, 'collapsed': 0.0}
    """
    metrics = {
        "embedding_std": normalized_std(embeddings),
        "effective_rank": effective_rank(embeddings),
    }
    collapsed = metrics["embedding_std"] * math.sqrt(embeddings.shape[1]) < _LEAST_SPREAD
    if min(embeddings.shape[0] - 1, embeddings.shape[1]) >= 3:
        collapsed |= metrics["effective_rank"] < _LEAST_RANK
    if logits is not None:
        metrics["assignment_entropy"] = prototype_entropy(logits)
        metrics["sample_entropy"] = _sample_entropy(logits)
        largest = math.log(min(logits.shape))
        collapsed |= metrics["assignment_entropy"] < _LEAST_ENTROPY * largest
        collapsed |= metrics["sample_entropy"] > math.log(logits.shape[1]) - _LEAST_CERTAINTY
    return metrics | {"collapsed": collapsed.astype(jnp.float32)}


def _sample_entropy(logits: Float[Array, "batch prototypes"]) -> Float32[Array, ""]:
    """Mean entropy of each row's softmax, in nats."""
    return jnp.mean(jnp.sum(entr(jax.nn.softmax(logits.astype(jnp.float32))), axis=1))


def generator_collapsed(
    fake: Float[Array, "fake height width channels"],
    real: Float[Array, "real height width channels"],
) -> Float32[Array, ""]:
    """Tells whether a generator makes one image whatever its latents.

    Args:
        fake: generated images, at least two.
        real: real images, at least two.

    Returns:
        1 if the standard deviation of the generated images, by pixel and over the batch, is below a
        twentieth of the real ones'; otherwise 0.

    Example:
        >>> import jax.numpy as jnp
        >>> real = jnp.arange(4.0).reshape(4, 1, 1, 1)
        >>> print(generator_collapsed(0.01 * real, real), generator_collapsed(real, real))
        1.0 0.0
    """
    return (_spread(fake) < _LEAST_PIXEL_SPREAD * _spread(real)).astype(jnp.float32)


def _spread(images: Float[Array, "batch height width channels"]) -> Float32[Array, ""]:
    """Root of a pixel's mean variance over the batch.

    It comes from the differences of neighbours, so that no whole image leaves its device.
    """
    pairs = images[: images.shape[0] // 2 * 2].reshape(-1, 2, *images.shape[1:])
    return jnp.sqrt(jnp.mean(jnp.square(pairs[:, 0] - pairs[:, 1])) / 2)
