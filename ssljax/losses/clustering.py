"""SwAV: online clustering with balanced codes and swapped prediction."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import entr
from jaxtyping import Array, Float, Float32

from ssljax.losses.checks import check_positive
from ssljax.losses.cross_view import cross_view_entropy
from ssljax.losses.transport import sinkhorn_potentials
from ssljax.ops.axes import AxisName, mean_over
from ssljax.ops.floats import as_float32


def sinkhorn_knopp(
    scores: Float[Array, "batch prototypes"],
    epsilon: float = 0.05,
    iterations: int = 3,
    queue_scores: Float[Array, "size prototypes"] | None = None,
    axis_name: AxisName = None,
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
    prototype, samples = sinkhorn_potentials(
        kernels,
        jnp.zeros(scores.shape[1], jnp.float32),
        [jnp.zeros(kernel.shape[1], jnp.float32) for kernel in kernels],
        iterations,
        axis_name,
    )
    return jnp.exp(kernels[0] + prototype[:, None] + samples[0][None, :]).T


def swapped_prediction(
    scores: Sequence[Float[Array, "batch prototypes"]] | Float[Array, "crops batch prototypes"],
    codes: Sequence[Float[Array, "batch prototypes"]] | Float[Array, "views batch prototypes"],
    temperature: float | Float[Array, ""] = 0.1,
) -> Float32[Array, ""]:
    """Predicts the codes of each global crop from the scores of all *other* crops.

    The codes are targets: no gradient flows to them.

    Args:
      scores: Similarities to the prototypes, one array per crop, the global crops first.
      codes: `sinkhorn_knopp` codes of the first crops, usually crops 0 and 1.
      temperature: Above 0.

    Returns:
      Cross-entropy in nats, averaged over the other crops, the codes and the batch. It is
      ln(prototypes) when everything has collapsed.

    Raises:
      ValueError: If there are fewer crops than codes, fewer than two crops, or the shapes
        differ.

    Reference:
      Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments,
      2020, eq. 1, 2 and 6.

    Example:
      >>> import jax.numpy as jnp
      >>> scores, codes = jnp.zeros((6, 4, 10)), jnp.full((2, 4, 10), 0.1)
      >>> print(f"{swapped_prediction(scores, codes):.4f}")
      2.3026
    """
    return cross_view_entropy(codes, scores, temperature)


def prototype_entropy(
    scores: Float[Array, "batch prototypes"], axis_name: AxisName = None
) -> Float32[Array, ""]:
    """Entropy of how often each prototype is the best one in the batch.

    A gauge of collapse, not a loss: 0 when all samples choose the same prototype.

    Args:
      scores: Similarities to the prototypes, or codes.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The
        gauge is then the whole batch's, the same on every device.

    Returns:
      The entropy in nats, at most ln(min(batch, prototypes)); NaN if a sample has no best
      prototype, because its scores are not finite.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{prototype_entropy(jnp.eye(4)):.4f} {prototype_entropy(jnp.ones((4, 4))):.4f}")
      1.3863 0.0000
    """
    chosen = jax.nn.one_hot(jnp.argmax(scores, axis=1), scores.shape[1], dtype=jnp.float32)
    known = jnp.isfinite(jnp.max(scores, axis=1, keepdims=True))
    chosen = jnp.where(known, chosen, jnp.nan)
    return jnp.sum(entr(mean_over(jnp.mean(chosen, axis=0), axis_name)))
