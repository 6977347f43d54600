"""A map that tells a discriminator how much the images of a group differ."""

import jax.numpy as jnp
from jaxtyping import Array, Float

EPSILON = 1e-8


def minibatch_deviation(
    x: Float[Array, "batch height width channels"], group: int
) -> Float[Array, "batch height width more_channels"]:
    """Appends one channel: the mean standard deviation over a group of images.

    A group is of images that follow one another. So a batch that is split over devices stays where
    it is if each of them has whole groups, and whatever their number the groups are the same. In
    the authors' code a group's images are a quarter of the batch apart; both are random images.

    Args:
      x: Maps.
      group: Images of a group; a smaller batch is one group. With 1 the channel is 1e-4.

    Returns:
      The maps with the channel behind them. It has one number for all images of a group: the square
      root of the variance + 1e-8 of each value over the group, averaged over all values; computed
      in float32.

    Raises:
      ValueError: If the groups do not fill the batch.

    Reference:
      Karras et al., Progressive Growing of GANs (arXiv:1710.10196), 2018, section 3.
    """
    batch = x.shape[0]
    size = min(group, batch)
    if batch % size:
        raise ValueError(
            f"The minibatch standard deviation is of groups of {size} images, which do not fill a "
            f"batch of {batch}: make config.batch_size a multiple of {size}."
        )
    groups = x.astype(jnp.float32).reshape(batch // size, size, -1)
    variance = jnp.mean(jnp.square(groups - jnp.mean(groups, axis=1, keepdims=True)), axis=1)
    deviation = jnp.mean(jnp.sqrt(variance + EPSILON), axis=1)
    each = jnp.broadcast_to(deviation[:, None, None], (batch // size, size, 1))
    channel = jnp.broadcast_to(each.reshape(batch, 1, 1, 1), (*x.shape[:3], 1))
    return jnp.concatenate([x, channel.astype(x.dtype)], axis=-1)
