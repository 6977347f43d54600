"""The triplet loss with semi-hard negatives, over all images of the batch."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.axes import AxisName, all_rows, mean_over, on_any_mesh, own_places
from ssljax.ops.checks import check_positive
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import inner_products


@on_any_mesh()
def semi_hard_triplet(
    embeddings: Float[Array, "batch views dim"],
    margin: float | Float[Array, ""] = 0.5,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Wants every two views of an image nearer to each other than to other images, by a margin.

    Embeddings are scaled to length 1, each over its own features; distances are squared. For each
    ordered pair of views of one image, anchor and positive, one negative is taken of all views of
    all other images: the nearest that is further from the anchor than the positive is (semi-hard);
    where there is none, the furthest of all. A harder one would let the loss be met by embeddings
    that are all the same. `optax.losses.triplet_margin_loss` is given its triplets, and its
    distances are not squared.

    Args:
      embeddings: Of any length, two views or more of each image.
      margin: Difference of the squared distances, which are in [0, 4], that costs nothing; above 0.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The
        negatives are then the whole batch's, and so is the loss, the same on every device:
        average (`pmean`) the gradients.

    Returns:
      Mean over all pairs of max(0, margin + d(anchor, positive) - d(anchor, negative)).

    Raises:
      ValueError: If there is one view of each image, or the margin is not positive.

    Reference:
      Schroff et al., FaceNet, 2015, section 3.2; as a loss of exemplars Kolesnikov et al.,
      Revisiting Self-Supervised Visual Representation Learning (arXiv:1901.09005), 2019.

    Example:
      >>> import jax.numpy as jnp
      >>> pairs = jnp.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
      >>> print(semi_hard_triplet(pairs), semi_hard_triplet(jnp.ones((2, 2, 3))))
      0.0 0.5
    """
    check_positive(margin=margin)
    batch, views, dim = embeddings.shape
    if views < 2:
        raise ValueError(f"A triplet needs two views of an image, and there is {views}.")
    z = l2_normalize(embeddings)
    candidates = all_rows(z, axis_name)
    to_all = 2.0 - 2.0 * inner_products(z.reshape(-1, dim), candidates.reshape(-1, dim))
    to_all = to_all.reshape(batch, views, 1, -1, views)
    within = 2.0 - 2.0 * jnp.einsum("bvd,bpd->bvp", z, z, precision=lax.Precision.HIGHEST)
    positive = within[:, :, :, None, None]
    # Masks, not indices: nothing but embeddings crosses devices.
    own = own_places(z, axis_name)[:, None, None, :, None]
    semi_hard = jnp.where(~own & (to_all > positive), to_all, jnp.inf)
    nearest = jnp.min(semi_hard, axis=(3, 4))
    furthest = jnp.max(jnp.where(own, -jnp.inf, to_all), axis=(3, 4))
    negative = jnp.where(jnp.isfinite(nearest), nearest, furthest)
    costs = jnp.maximum(0.0, margin + within - negative)
    pairs = 1.0 - jnp.eye(views)
    return mean_over(jnp.sum(costs * pairs[None]) / (batch * views * (views - 1)), axis_name)
