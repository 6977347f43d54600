"""SwAV: swapped prediction of balanced codes, and a gauge of how the prototypes are used."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.scipy.special import entr
from jaxtyping import Array, Float, Float32

from ssljax.losses.cross_view import cross_view_entropy
from ssljax.ops.axes import AxisName, mean_over


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
