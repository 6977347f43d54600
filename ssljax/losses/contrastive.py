"""The contrastive loss of SimCLR."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32

from ssljax.ops.axes import AxisName, all_rows, mean_over, on_any_mesh, own_places
from ssljax.ops.checks import check_positive, check_same_shape
from ssljax.ops.floats import as_float32
from ssljax.ops.similarity import cosine_similarity_matrix


@on_any_mesh()
def nt_xent(
    z1: Float[Array, "batch dim"],
    z2: Float[Array, "batch dim"],
    temperature: float | Float[Array, ""] = 0.5,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Tells each view's partner from the other `2 * batch - 2` embeddings (NT-Xent).

    Every embedding is scaled to length 1 and classified among the `2 * batch - 1` others of both
    views: the other view of its own image is the right answer; only its similarity to itself is
    left out. The cross-entropies are averaged over the images of a view, and the two views'
    averages are *added*, as in the official code; Eq. 1 of the paper averages them, which gives
    half of this value. Without any information the loss is `2 * log(2 * batch - 1)`.

    All arithmetic is in float32. The length of an embedding does not matter; a zero vector stays
    zero and gets no gradient, so that value and gradient are finite everywhere.

    The batch is the whole array: under `jit` with the batch axis sharded over devices, the
    negatives are those of all devices, and value and gradient do not depend on the mesh. Inside
    `shard_map` and `pmap` that takes `axis_name`.

    >>> import jax.numpy as jnp
    >>> views = jnp.eye(4)
    >>> print(f"{nt_xent(views, views, temperature=0.1):.4f}")
    0.0005
    >>> print(f"{nt_xent(views, views[::-1], temperature=0.1):.4f}")
    20.0005

    Args:
      z1: Embeddings of the first view, any float type and any length.
      z2: Embeddings of the second view; row `i` is the same image as row `i` of `z1`.
      temperature: Divides the cosine similarities; positive.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The
        loss is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The loss, a float32 scalar.

    Raises:
      ValueError: If the shapes differ, or the temperature is not positive.

    Reference:
      Chen et al., A Simple Framework for Contrastive Learning of Visual Representations
      (arXiv:2002.05709), 2020: eq. 1 and Algorithm 1; sum of both directions as in `objective.py`
      of google-research/simclr.
    """
    check_same_shape(z1=z1, z2=z2)
    check_positive(temperature=temperature)
    z1, z2 = as_float32(z1), as_float32(z2)
    all1, all2 = all_rows(z1, axis_name), all_rows(z2, axis_name)
    own = own_places(z1, axis_name)
    first = _find_partners(z1, all2, all1, own, temperature)
    second = _find_partners(z2, all1, all2, own, temperature)
    return mean_over(first + second, axis_name)


def _find_partners(
    anchors: Float[Array, "batch dim"],
    other_view: Float[Array, "all dim"],
    same_view: Float[Array, "all dim"],
    own: Bool[Array, "batch all"],
    temperature: float | Float[Array, ""],
) -> Float32[Array, ""]:
    """Mean cross-entropy of telling each anchor's partner from all others of both views."""
    across = cosine_similarity_matrix(anchors, other_view) / temperature
    within = cosine_similarity_matrix(anchors, same_view) / temperature
    # Masks and columns, not indices and rows: nothing but embeddings crosses devices.
    candidates = jnp.concatenate([across, jnp.where(own, -jnp.inf, within)], axis=1)
    positives = jnp.sum(jnp.where(own, across, 0.0), axis=1)
    return jnp.mean(jax.nn.logsumexp(candidates, axis=1) - positives)
