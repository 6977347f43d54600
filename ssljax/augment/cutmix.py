"""CutMix: a box of another image in every image."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ssljax.augment.keys import bernoulli, check_probability, fold_keys, uniform


def cutmix(
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    targets: Float[Array, "batch classes"],
    p: float = 1.0,
) -> tuple[Float[Array, "batch height width channels"], Float[Array, "batch classes"]]:
    """Pastes a box of each image's neighbour over it, and mixes their targets by area.

    Images 2i and 2i + 1 are neighbours, so that a batch that is sharded in even parts stays where
    it is. The area of the box is uniform, and its centre lies anywhere; what of it lies outside the
    image is cut off.

    Args:
      keys: One key per image.
      images: Images of any range, an even number.
      targets: Shares of something that each image has.
      p: Probability that an image is changed.

    Returns:
      The images and their targets.

    Raises:
      ValueError: If the number of images is odd, or the probability impossible.

    Reference:
      Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
      Features (arXiv:1905.04899), 2019, section 3.1.
    """
    check_probability(p)
    batch, height, width, _ = images.shape
    if batch % 2:
        raise ValueError(f"CutMix takes pairs of images, and the batch has {batch}.")
    draws = uniform(fold_keys(keys, 0), 3)
    cut = jnp.sqrt(jnp.where(bernoulli(fold_keys(keys, 1), p), draws[:, 0], 0.0))
    inside = []
    for axis, side in enumerate((height, width), start=1):
        half, centre = cut * side / 2, draws[:, axis] * side
        places = jnp.arange(side, dtype=jnp.float32)[None] + 0.5
        inside.append(jnp.abs(places - centre[:, None]) < half[:, None])
    box = inside[0][:, :, None] & inside[1][:, None, :]
    share = jnp.mean(box.astype(jnp.float32), axis=(1, 2))[:, None]
    mixed = jnp.where(box[..., None], _neighbours(images), images)
    return mixed, (1.0 - share) * targets + share * _neighbours(targets)


def _neighbours(rows: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    pairs = rows.reshape(-1, 2, *rows.shape[1:])
    return pairs[:, ::-1].reshape(rows.shape)
