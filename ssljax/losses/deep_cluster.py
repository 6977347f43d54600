"""DeepCluster-v2: prediction of the clusters that were found beforehand."""

from collections.abc import Sequence

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Float32, Int

from ssljax.ops.axes import AxisName, on_any_mesh, sum_over
from ssljax.ops.checks import check_positive, check_same_shape
from ssljax.ops.floats import as_float32


@on_any_mesh()
def deep_cluster(
    scores: Sequence[Float[Array, "batch clusters"]] | Float[Array, "crops batch clusters"],
    assignments: Int[Array, "batch"],
    temperature: float = 0.1,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Predicts from every crop the cluster that its image has been given.

    Args:
      scores: Similarities of normalised embeddings and centroids, one array per crop.
      assignments: The cluster of each image; -1 for an image without one, which is left out.
      temperature: Divides the scores; above 0.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      Cross-entropy in nats, averaged over the crops and the images that have a cluster; 0 if
      none has.

    Raises:
      ValueError: If there is no crop, or the shapes differ.

    Reference:
      Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments,
      2020, appendix D; `train` in `main_deepclusterv2.py` of facebookresearch/swav.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{deep_cluster(jnp.zeros((3, 2, 10)), jnp.array([4, -1])):.4f}")
      2.3026
    """
    check_positive(temperature=temperature)
    if len(scores) < 1:
        raise ValueError("There is no crop to predict from: give the scores of one or more.")
    has_one = (assignments >= 0).astype(jnp.float32)
    total = jnp.float32(0.0)
    for crop in range(len(scores)):
        check_same_shape(crop=scores[crop][:, 0], assignments=assignments)
        logits = as_float32(scores[crop]) / temperature
        entropies = optax.softmax_cross_entropy_with_integer_labels(
            logits, jnp.maximum(assignments, 0)
        )
        total += jnp.sum(entropies * has_one)
    images = jnp.maximum(sum_over(jnp.sum(has_one), axis_name), 1.0)
    return sum_over(total, axis_name) / (len(scores) * images)
