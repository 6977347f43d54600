"""Losses of momentum contrast: MoCo v1 and v2 (queue), MoCo v3 (batch)."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.axes import AxisName, all_rows, mean_over, on_any_mesh
from ssljax.ops.checks import check_positive
from ssljax.ops.floats import as_float32
from ssljax.ops.similarity import cosine_similarity_matrix, paired_cosine_similarity


@on_any_mesh()
def info_nce_queue(
    query: Float[Array, "batch dim"],
    key: Float[Array, "batch dim"],
    queue: Float[Array, "size dim"],
    temperature: float | Float[Array, ""] = 0.07,
) -> Float32[Array, ""]:
    """InfoNCE with one positive key per query and a queue of negatives (MoCo v1 and v2).

    The loss is asymmetric and sees the queue as it was *before* this batch's keys enter. Key and
    queue are targets: no gradient flows to them. All vectors are l2-normalised inside.

    A mean of terms that each depend on one query: inside `shard_map` or `pmap`, where every device
    holds the whole queue, average (`pmean`) the value inside the function that is differentiated,
    and then the gradient.

    Args:
      query: Outputs of the trained encoder.
      key: Outputs of the momentum encoder for the other view of the same images.
      queue: Keys of earlier batches.
      temperature: Above 0; 0.07 in v1, 0.2 in v2.

    Returns:
      Mean cross-entropy over the batch, in nats.

    Raises:
      ValueError: If query and key differ in shape, or the temperature is not above 0.

    Reference:
      He et al., Momentum Contrast, 2020, eq. 1 and algorithm 1.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.eye(2)
      >>> print(f"{info_nce_queue(x, x, -x, temperature=1.0):.4f}")
      0.4076
    """
    check_positive(temperature=temperature)
    query, key, queue = as_float32(query), lax.stop_gradient(key), lax.stop_gradient(queue)
    positive = paired_cosine_similarity(query, key) / temperature
    negative = jax.nn.logsumexp(cosine_similarity_matrix(query, queue) / temperature, axis=1)
    # -log(e^p / (e^p + Σ e^n)) without joining the two: softplus(logsumexp(n) - p).
    return jnp.mean(jax.nn.softplus(negative - positive))


@on_any_mesh()
def info_nce_batch(
    query: Float[Array, "batch dim"],
    key: Float[Array, "batch dim"],
    temperature: float | Float[Array, ""] = 0.2,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """InfoNCE against the keys of the whole batch, times 2·temperature (MoCo v3).

    Negatives are the other images' keys, taken from the other view only. The key is a target: no
    gradient flows to it. A method adds both directions:
    `info_nce_batch(q1, k2, t) + info_nce_batch(q2, k1, t)`.

    Args:
      query: Predictor outputs for one view.
      key: Momentum-encoder outputs for the other view of the same images.
      temperature: Above 0; 0.2 for vision transformers, 1.0 for ResNets.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      Mean cross-entropy over the batch, in nats, times 2·temperature.

    Raises:
      ValueError: If query and key differ in shape, or the temperature is not above 0.

    Reference:
      Chen et al., An Empirical Study of Training Self-Supervised Vision Transformers, 2021,
      algorithm 1.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.ones((4, 3))
      >>> print(f"{info_nce_batch(x, x, temperature=0.5):.4f}")
      1.3863
    """
    check_positive(temperature=temperature)
    query, key = as_float32(query), lax.stop_gradient(key)
    positive = paired_cosine_similarity(query, key) / temperature
    similarities = cosine_similarity_matrix(query, all_rows(key, axis_name))
    every = jax.nn.logsumexp(similarities / temperature, axis=1)
    return 2 * temperature * mean_over(jnp.mean(every - positive), axis_name)
