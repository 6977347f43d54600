"""The ranking loss of pairs of patches from one track, with negatives of the whole batch."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int

from ssljax.ops.axes import AxisName, all_rows, mean_over, on_any_mesh, own_places
from ssljax.ops.checks import check_positive
from ssljax.ops.normalize import l2_normalize

_PICKS = 2
"""Numbers that a candidate draws: one for the pick of the hardest, and one for that of the rest."""


def other_groups(
    groups: Int[Array, " batch"], axis_name: AxisName = None
) -> Bool[Array, "batch all"]:
    """Which pairs of the batch may be negatives of each pair: those that are of another group.

    Args:
      groups: The number of each pair's video; pairs of an unknown one, -1, are each by itself.
      axis_name: As in `siamese_triplet`.

    Returns:
      True at [i, j] where pair j is not pair i, nor of the same known group.

    Example:
      >>> import jax.numpy as jnp
      >>> print(other_groups(jnp.array([0, 0, -1])).astype(int))
      [[0 0 1]
       [0 0 1]
       [1 1 0]]
    """
    everyone = all_rows(groups, axis_name)[None]
    alike = (groups[:, None] == everyone) & (groups[:, None] >= 0)
    return ~(own_places(groups, axis_name) | alike)


@on_any_mesh()
def siamese_triplet(
    embeddings: Float[Array, "batch patches dim"],
    draws: Float[Array, "batch all 2 2"],
    groups: Int[Array, " batch"],
    margin: float | Float[Array, ""] = 0.5,
    negatives: int = 4,
    hard: int | Int[Array, ""] = 0,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Wants the two patches of a track nearer to each other than to patches of other videos.

    Embeddings are scaled to length 1, each over its own features; the distance is 1 - cosine. The
    candidates of a pair are both patches of all pairs of other groups that violate the margin, as
    seen from the pair's first patch: d(x, x+) - d(x, x-) + margin > 0. Of these `hard` are drawn of
    the `negatives` nearest, and the others of all that is left, the nearest that were not drawn
    among them; where no more than `negatives` violate, all are taken. The loss is symmetric: a
    negative is held against both patches of the pair.

    Args:
      embeddings: Of any length, the two patches of each pair.
      draws: For each pair and each patch of the batch two independent numbers, uniform in [0, 1),
        that decide which negatives are drawn.
      groups: As in `other_groups`. Negatives of the same video may show the same thing.
      margin: Difference of the distances, which are in [0, 2], that costs nothing; above 0.
      negatives: How many each pair has at most.
      hard: How many of them are of the nearest; 0 at first, since a network that has learnt nothing
        yet would make all embeddings the same. May be traced.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The
        negatives are then the whole batch's, and so is the loss, the same on every device:
        average (`pmean`) the gradients.

    Returns:
      Sum over all pairs, their negatives and both patches of max(0, margin + d(x, x+) - d(x, x-)),
      over 2 * negatives * batch, whether or not each pair has so many negatives.

    Raises:
      ValueError: If there are not two patches of each pair, or the margin or the number of
        negatives is not positive.

    Reference:
      Wang and Gupta, Unsupervised Learning of Visual Representations using Videos
      (arXiv:1505.00687), 2015, section 4; `rank_hard_loss_layer.cpp` of
      xiaolonw/caffe-video_triplet, for the choice of the negatives.

    Example:
      >>> import jax.numpy as jnp
      >>> pairs = jnp.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
      >>> draws, videos = jnp.zeros((2, 2, 2, 2)), jnp.array([0, 1])
      >>> print(siamese_triplet(pairs, draws, videos, 0.5, negatives=2))
      0.0
      >>> print(siamese_triplet(jnp.ones((2, 2, 3)), draws, videos, 0.5, negatives=2))
      0.5
    """
    check_positive(margin=margin, negatives=negatives)
    batch, patches, _ = embeddings.shape
    if patches != 2:
        raise ValueError(f"A pair has two patches, and there are {patches}.")
    z = l2_normalize(embeddings)
    candidates = all_rows(z, axis_name)
    cosines = jnp.einsum("bvd,awd->bvaw", z, candidates, precision=lax.Precision.HIGHEST)
    own = jnp.sum(z[:, 0] * z[:, 1], axis=-1)[:, None, None, None]
    costs = jnp.maximum(0.0, margin - own + cosines).reshape(batch, 2, -1)
    # Chosen by masks, not by indices: nothing but embeddings crosses devices.
    allowed = jnp.repeat(other_groups(groups, axis_name), 2, axis=1)
    violates = allowed & (lax.stop_gradient(costs[:, 0]) > 0.0)
    nearness = lax.stop_gradient(cosines[:, 0]).reshape(batch, -1)
    numbers = draws.reshape(batch, -1, _PICKS)
    nearest = violates & (_places(nearness, violates) < negatives)
    first = nearest & (_places(numbers[..., 0], nearest) < hard)
    rest = violates & ~first
    others = rest & (_places(numbers[..., 1], rest) < negatives - hard)
    taken = jnp.where(first | others, jnp.sum(costs, axis=1), 0.0)
    return mean_over(jnp.sum(taken) / (2 * negatives * batch), axis_name)


def _places(
    values: Float[Array, "batch candidates"], among: Bool[Array, "batch candidates"]
) -> Int[Array, "batch candidates"]:
    """The place of each candidate in the order of values, the largest first; others come last."""
    order = jnp.argsort(jnp.where(among, -values, jnp.inf), axis=1)
    return jnp.argsort(order, axis=1)
