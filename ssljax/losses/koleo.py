"""KoLeo: spreads the embeddings of a batch evenly over the sphere."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from ssljax.losses.similarity import cosine_similarity_matrix, l2_normalize


def koleo(embeddings: Float[Array, "batch dim"], epsilon: float = 1e-8) -> Float32[Array, ""]:
    """Kozachenko-Leonenko estimate of the negative differential entropy, up to constants.

    Minus the mean log distance of each l2-normalised embedding to its nearest neighbour in the
    global batch. DINOv2 adds it with weight 0.1.

    Args:
        embeddings: embeddings of one view, not necessarily normalised.
        epsilon: added to each coordinate of the difference and to the distance, so that the value
            and the gradient are finite for two equal embeddings.

    Returns:
        The loss in nats; -log 2 for two opposite points, its least value.

    Raises:
        ValueError: if the batch has one image, which has no neighbour.

    Reference:
        Sablayrolles et al., Spreading Vectors for Similarity Search, 2019; Oquab et al.,
        DINOv2, 2023, section 4.

    Example:
        >>> import jax.numpy as jnp
        >>> print(f"{koleo(jnp.array([[3.0, 0.0], [-1.0, 0.0]])):.4f}")
        -0.6931
    """
    batch = embeddings.shape[0]
    if batch < 2:
        raise ValueError("KoLeo needs two images or more: one alone has no neighbour.")
    unit = l2_normalize(embeddings)
    cosine = cosine_similarity_matrix(embeddings, embeddings)
    neighbor = jnp.argmax(jnp.where(jnp.eye(batch, dtype=bool), -jnp.inf, cosine), axis=1)
    difference = unit - jnp.take(unit, neighbor, axis=0) + epsilon
    distance = jnp.sqrt(jnp.sum(jnp.square(difference), axis=-1))
    return -jnp.mean(jnp.log(distance + epsilon))
