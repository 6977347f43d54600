"""Gauges of collapse: how many directions a batch of embeddings uses. None of them is a loss."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import entr
from jaxtyping import Array, Bool, Float, Float32

from ssljax.losses.clustering import prototype_entropy
from ssljax.losses.regression import normalized_std
from ssljax.ops.axes import AxisName, all_rows, batch_size, mean_over, on_any_mesh, sum_over
from ssljax.ops.floats import as_float32
from ssljax.ops.similarity import inner_products

_LEAST_SPREAD = 0.1
_LEAST_ENTROPY = 0.05
"""What still counts as healthy, as shares of the spread and of the entropy of even use."""
_LEAST_RANK = 1.05
"""Effective rank below which embeddings lie on a line: 97.5 % of the variance in one direction."""
_LEAST_CERTAINTY = 0.01
"""Nats below the largest entropy that a sample's assignment must have, on average."""
_LEAST_PIXEL_SPREAD = 0.05
"""Share of the real images' spread below which the generated ones are all the same."""


@on_any_mesh()
def effective_rank(
    embeddings: Float[Array, "batch dim"], axis_name: AxisName = None
) -> Float32[Array, ""]:
    """Number of directions in which embeddings vary: the participation ratio of their covariance.

    (Σλ)² / Σλ² over the covariance's eigenvalues λ, which are never computed: the sums are the
    traces of the smaller Gram matrix and of its square. So it is cheap enough for every step.

    Args:
      embeddings: Any embeddings.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The
        gauge is then the whole batch's, the same on every device.

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
    # Scaled first: the fourth power of a large value would overflow.
    rows, _ = _scaled(as_float32(embeddings), axis_name)
    rows = rows - mean_over(jnp.mean(rows, axis=0, keepdims=True), axis_name)
    total = sum_over(jnp.sum(jnp.square(rows)), axis_name)
    rows = rows / jnp.sqrt(jnp.where(total == 0, 1.0, total))
    if batch_size(rows, axis_name) < rows.shape[1]:
        gram = inner_products(rows, all_rows(rows, axis_name))
        squares = sum_over(jnp.sum(jnp.square(gram)), axis_name)
    else:
        gram = sum_over(jnp.matmul(rows.T, rows, precision=lax.Precision.HIGHEST), axis_name)
        squares = jnp.sum(jnp.square(gram))
    return jnp.where(total == 0, 1.0, 1 / jnp.where(total == 0, 1.0, squares))


@on_any_mesh()
def rankme(embeddings: Float[Array, "batch dim"], axis_name: AxisName = None) -> Float32[Array, ""]:
    """RankMe: exponential of the entropy of the normalised singular values.

    exp(-Σ p log p) with p = σ / Σσ + 1e-7, over the min(batch, dim) singular values σ of the
    embeddings, which are not centred. The 1e-7 is the paper's, and nothing is left out: float32
    rounds a singular value by about 1e-7 of the largest, so that each one that should be 0 adds up
    to about 3e-6 to the entropy, as much as the paper's own term, and the rank of 2,048 dimensions
    that all lie on one line comes out as 1.01. A decomposition is slow on accelerators: this is for
    evaluations, `effective_rank` for every step.

    Args:
      embeddings: Any embeddings.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The
        gauge is then the whole batch's, the same on every device.

    Returns:
      A value in [1, min(batch, dim)], up to these terms: 1 when all embeddings lie on one line
      through 0, n when they spread alike over n orthogonal directions. It is 1 for embeddings
      that are all zero.

    Reference:
      Garrido et al., RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised
      Representations by Their Rank, 2023, eq. 2.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{rankme(jnp.eye(4)):.4f} {rankme(jnp.ones((4, 4))):.4f}")
      4.0000 1.0000
    """
    rows, largest = _scaled(all_rows(as_float32(embeddings), axis_name), axis_name)
    # Not from a Gram matrix: it squares the singular values, and float32 loses the small ones.
    singular = jnp.linalg.svd(rows, compute_uv=False)
    share = singular / jnp.where(largest == 0, 1.0, jnp.sum(singular)) + 1e-7
    rank = jnp.where(largest == 0, 1.0, jnp.exp(-jnp.sum(share * jnp.log(share))))
    return mean_over(rank, axis_name)


def _scaled(
    rows: Float32[Array, "batch dim"], axis_name: AxisName
) -> tuple[Float32[Array, "batch dim"], Float32[Array, ""]]:
    """The rows divided by their largest value, and that value; 0 if there is none to divide by."""
    # The gauges do not depend on the factor, so it needs no gradient: `pmax` has none.
    largest = lax.stop_gradient(jnp.max(jnp.abs(rows)))
    if axis_name is not None:
        largest = lax.pmax(largest, axis_name)
    largest = jnp.where(largest < float(jnp.finfo(jnp.float32).tiny), 0.0, largest)
    return rows / jnp.where(largest == 0, 1.0, largest), largest


def collapse_metrics(
    embeddings: Float[Array, "batch dim"],
    logits: Float[Array, "batch prototypes"] | None = None,
    axis_name: AxisName = None,
) -> dict[str, Float32[Array, ""]]:
    """All gauges of collapse, by the names that they have in a log.

    Args:
      embeddings: Any embeddings.
      logits: Similarities to prototypes, divided by the temperature, of a method that assigns its
        images to them.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The
        gauges are then the whole batch's, the same on every device.

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
      All of them are NaN for embeddings that are not finite.

    Reference:
      Jing et al., Understanding Dimensional Collapse in Contrastive Self-supervised Learning, 2022,
      section 3.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
      >>> {name: round(float(value), 4) for name, value in collapse_metrics(x).items()}
      {'embedding_std': 0.5, 'effective_rank': 1.0, 'collapsed': 0.0}
    """
    metrics = {
        "embedding_std": normalized_std(embeddings, axis_name),
        "effective_rank": effective_rank(embeddings, axis_name),
    }
    collapsed = metrics["embedding_std"] * math.sqrt(embeddings.shape[1]) < _LEAST_SPREAD
    batch = batch_size(embeddings, axis_name)
    if min(batch - 1, embeddings.shape[1]) >= 3:
        collapsed |= metrics["effective_rank"] < _LEAST_RANK
    if logits is not None:
        metrics["assignment_entropy"] = prototype_entropy(logits, axis_name)
        metrics["sample_entropy"] = mean_over(_sample_entropy(logits), axis_name)
        largest = math.log(min(batch, logits.shape[1]))
        collapsed |= metrics["assignment_entropy"] < _LEAST_ENTROPY * largest
        collapsed |= metrics["sample_entropy"] > math.log(logits.shape[1]) - _LEAST_CERTAINTY
    return metrics | {"collapsed": _verdict(collapsed, *metrics.values())}


def _sample_entropy(logits: Float[Array, "batch prototypes"]) -> Float32[Array, ""]:
    """Mean entropy of each row's softmax, in nats."""
    return jnp.mean(jnp.sum(entr(jax.nn.softmax(as_float32(logits))), axis=1))


def _verdict(collapsed: Bool[Array, ""], *gauges: Float32[Array, ""]) -> Float32[Array, ""]:
    """1 or 0, or NaN where one of the gauges that it depends on is NaN."""
    known = jnp.all(jnp.isfinite(jnp.stack(gauges)))
    return jnp.where(known, collapsed.astype(jnp.float32), jnp.nan)


def generator_collapsed(
    fake: Float[Array, "fake height width channels"],
    real: Float[Array, "real height width channels"],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Tells whether a generator makes the same image from all latents.

    Args:
      fake: Generated images, at least two, and on each device if they lie on several.
      real: Real images, at least two.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the images lie. The
        gauge is then that of all images, the same on every device.

    Returns:
      1 if the standard deviation of the generated images, by pixel and over the batch, is below a
      twentieth of the real ones'; otherwise 0. NaN for images that are not finite.

    Example:
      >>> import jax.numpy as jnp
      >>> real = jnp.arange(4.0).reshape(4, 1, 1, 1)
      >>> print(generator_collapsed(0.01 * real, real), generator_collapsed(real, real))
      1.0 0.0
    """
    fake_spread, real_spread = _spread(fake, axis_name), _spread(real, axis_name)
    return _verdict(fake_spread < _LEAST_PIXEL_SPREAD * real_spread, fake_spread, real_spread)


def _spread(
    images: Float[Array, "batch height width channels"], axis_name: AxisName
) -> Float32[Array, ""]:
    """Root of a pixel's mean variance over the batch.

    It comes from the differences of neighbours, so that no whole image leaves its device.
    """
    images = as_float32(images)
    pairs = images[: images.shape[0] // 2 * 2].reshape(-1, 2, *images.shape[1:])
    squares = jnp.mean(jnp.square(pairs[:, 0] - pairs[:, 1]))
    return jnp.sqrt(mean_over(squares, axis_name) / 2)
