"""SSGAN's auxiliary task: the discriminator tells by how many quarter turns an image is rotated.

Every fourth image of the batch is shown in all 4 orientations; upright, it is shared with the GAN
loss. `with_rotations` makes the images of the one call to the discriminator (64 + 48 for a batch of
64), `upright_only` takes from any of its outputs what the GAN loss sees, and `in_four_orientations`
what the rotation loss sees. The images are laid out in groups of 7, a group being 4 upright images
and the first one's 3 turns: on a batch that is sharded over devices nothing moves between them.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Shaped

from ssljax.ops.floats import as_float32

GROUP = 4
"""One image in so many is rotated: as many as there are orientations."""
TURNS = GROUP - 1


def with_rotations(
    images: Float[Array, "batch side side channels"],
) -> Float[Array, "all side side channels"]:
    """Adds three turned copies of every fourth image.

    Turns are by transposes and mirrors, counter-clockwise, and lose nothing.

    Args:
      images: Upright images; a multiple of 4 on each device.

    Returns:
      7 / 4 as many images, in groups of 7.

    Raises:
      ValueError: If 4 does not divide the batch.

    Reference:
      Chen et al., Self-Supervised GANs via Auxiliary Rotation Loss, 2019, section 4.1.

    Example:
      >>> import jax.numpy as jnp
      >>> with_rotations(jnp.zeros((64, 8, 8, 3))).shape
      (112, 8, 8, 3)
    """
    batch, *shape = images.shape
    if batch % GROUP:
        raise ValueError(
            f"A batch of {batch} images is not a multiple of {GROUP}: change batch_size."
        )
    groups = images.reshape(batch // GROUP, GROUP, *shape)
    turned = [jnp.rot90(groups[:, 0], turn, axes=(1, 2)) for turn in range(1, GROUP)]
    return jnp.concatenate([groups, jnp.stack(turned, axis=1)], axis=1).reshape(-1, *shape)


def upright_only(outputs: Shaped[Array, "all *values"]) -> Shaped[Array, "batch *values"]:
    """The discriminator's outputs for the upright images.

    Args:
      outputs: Any of its outputs for the images that `with_rotations` returned.

    Returns:
      The rows of the upright images, in the order of the batch.

    Example:
      >>> import jax.numpy as jnp
      >>> print(upright_only(jnp.arange(14)))
      [ 0  1  2  3  7  8  9 10]
    """
    groups = outputs.reshape(-1, GROUP + TURNS, *outputs.shape[1:])
    return groups[:, :GROUP].reshape(-1, *outputs.shape[1:])


def in_four_orientations(
    outputs: Shaped[Array, "all *values"],
) -> Shaped[Array, "rotated 4 *values"]:
    """The discriminator's outputs for the rotated images, and for the same ones upright.

    Args:
      outputs: Any of its outputs for the images that `with_rotations` returned.

    Returns:
      (batch / 4, 4, ...): at [i, r] that of image 4 * i after r quarter turns.

    Example:
      >>> import jax.numpy as jnp
      >>> print(in_four_orientations(jnp.arange(14)))
      [[ 0  4  5  6]
       [ 7 11 12 13]]
    """
    groups = outputs.reshape(-1, GROUP + TURNS, *outputs.shape[1:])
    return jnp.concatenate([groups[:, :1], groups[:, GROUP:]], axis=1)


def rotation_loss(logits: Float[Array, "rotated 4 4"]) -> Float32[Array, ""]:
    """Cross-entropy of telling the four orientations apart.

    The discriminator minimises it on real images only, with weight 1, and the generator on
    generated images only, with weight 0.2: on this they work together.

    Args:
      logits: (image, turns, guess), from `in_four_orientations` of the rotation head's outputs.

    Returns:
      Mean over images and orientations, in nats; log 4 for a head that cannot tell.

    Reference:
      Chen et al., Self-Supervised GANs via Auxiliary Rotation Loss, 2019, eq. 2 and 3.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{rotation_loss(jnp.zeros((2, 4, 4))):.4f}")
      1.3863
    """
    # A mask, not the diagonal: indices have no layout of their own on a mesh of Explicit axes.
    log_probabilities = jax.nn.log_softmax(as_float32(logits))
    right = jnp.sum(log_probabilities * jnp.eye(GROUP)[None], axis=2)
    return -jnp.mean(right)
