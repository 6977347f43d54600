"""NNCLR: the positive of an image is its nearest neighbour among earlier embeddings."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.axes import AxisName, all_rows, mean_over, on_any_mesh
from ssljax.ops.checks import check_positive
from ssljax.ops.floats import as_float32
from ssljax.ops.similarity import cosine_similarity_matrix, paired_cosine_similarity


@on_any_mesh(like="embeddings")
def nearest_neighbors(
    embeddings: Float[Array, "batch dim"], queue: Float[Array, "size dim"]
) -> Float[Array, "batch dim"]:
    """Picks the row of the queue that is nearest to each embedding.

    Nearest in Euclidean distance between l2-normalised vectors, which is the highest cosine.

    Args:
      embeddings: Projector outputs of one view.
      queue: Embeddings of earlier batches.

    Returns:
      Rows of the queue as they are stored, without gradient; NaN for an embedding that is not
      finite, which has no neighbour.

    Reference:
      Dwibedi et al., With a Little Help from My Friends, 2021, eq. 4.

    Example:
      >>> import jax.numpy as jnp
      >>> queue = jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> print(nearest_neighbors(jnp.array([[0.1, 5.0]]), queue))
      [[0. 1.]]
    """
    cosine = cosine_similarity_matrix(embeddings, queue)
    nearest = jnp.take(queue, jnp.argmax(cosine, axis=1), axis=0)
    unknown = jnp.isnan(jnp.max(cosine, axis=1, keepdims=True))
    return lax.stop_gradient(jnp.where(unknown, jnp.nan, nearest))


@on_any_mesh()
def nnclr(
    neighbors: Float[Array, "batch dim"],
    predictions: Float[Array, "batch dim"],
    temperature: float | Float[Array, ""] = 0.1,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Contrasts the neighbours of one view with the predictions of the other.

    Negatives are the predictions for the other images of the batch. The neighbours are targets:
    no gradient flows to them. A method averages both directions:
    `(nnclr(nn1, p2) + nnclr(nn2, p1)) / 2`, with `nn1 = nearest_neighbors(z1, queue)`.

    Args:
      neighbors: `nearest_neighbors` of the first view's projections.
      predictions: Predictor outputs for the second view of the same images.
      temperature: Above 0; 0.1 to 0.2.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      Mean cross-entropy over the batch, in nats.

    Raises:
      ValueError: If the shapes differ, or the temperature is not above 0.

    Reference:
      Dwibedi et al., With a Little Help from My Friends, 2021, eq. 3 with the prediction head of
      section 3.2.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.ones((4, 3))
      >>> print(f"{nnclr(x, x):.4f}")
      1.3863
    """
    check_positive(temperature=temperature)
    neighbors, predictions = lax.stop_gradient(neighbors), as_float32(predictions)
    positive = paired_cosine_similarity(neighbors, predictions) / temperature
    similarities = cosine_similarity_matrix(neighbors, all_rows(predictions, axis_name))
    every = jax.nn.logsumexp(similarities / temperature, axis=1)
    return mean_over(jnp.mean(every - positive), axis_name)
