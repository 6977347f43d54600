"""KoLeo: spreads the embeddings of a batch evenly over the sphere."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from ssljax.ops.axes import AxisName, all_rows, batch_size, mean_over, on_any_mesh, own_places
from ssljax.ops.floats import as_float32
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import cosine_similarity_matrix


@on_any_mesh()
def koleo(
    embeddings: Float[Array, "batch dim"], epsilon: float = 1e-8, axis_name: AxisName = None
) -> Float32[Array, ""]:
    """Kozachenko-Leonenko estimate of the negative differential entropy, up to constants.

    Minus the mean log distance of each l2-normalised embedding to its nearest neighbour in the
    global batch. DINOv2 adds it with weight 0.1.

    Args:
      embeddings: Embeddings of one view, not necessarily normalised.
      epsilon: Added to each coordinate of the difference and to the distance, so that the value
        and the gradient are finite for two equal embeddings; on the scale of the sphere, whose
        radius is 1.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The loss in nats; -log 2 for two opposite points, its least value.

    Raises:
      ValueError: If the batch has one image, which has no neighbour.

    Reference:
      Sablayrolles et al., Spreading Vectors for Similarity Search, 2019; Oquab et al., DINOv2,
      2023, section 4.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{koleo(jnp.array([[3.0, 0.0], [-1.0, 0.0]])):.4f}")
      -0.6931
    """
    if batch_size(embeddings, axis_name) < 2:
        raise ValueError("KoLeo needs two images or more: one alone has no neighbour.")
    embeddings = as_float32(embeddings)
    everyone = all_rows(embeddings, axis_name)
    cosine = cosine_similarity_matrix(embeddings, everyone)
    neighbor = jnp.argmax(jnp.where(own_places(embeddings, axis_name), -jnp.inf, cosine), axis=1)
    nearest = jnp.take(l2_normalize(everyone), neighbor, axis=0)
    difference = l2_normalize(embeddings) - nearest + epsilon
    distance = jnp.sqrt(jnp.sum(jnp.square(difference), axis=-1))
    return -mean_over(jnp.mean(jnp.log(distance + epsilon)), axis_name)
