"""Learning classes of which an image may have several, each by itself."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int

from ssljax.ops.axes import AxisName, sum_over
from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32


def multi_label_cross_entropy(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, "batch classes"],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Sums the binary cross-entropies of an image's classes, of those that are known.

    Args:
      logits: Score of each class, above 0 where the image rather has it.
      labels: 1 where the image has the class, 0 where it has not; -1 where that is not known, as of
        Pascal VOC's "difficult" objects: such a class has no term, and no gradient.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      Mean of the sums over the images of the global batch of which some class is known, in nats; 0
      if there are none.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Caron et al., Deep Clustering for Unsupervised Learning of Visual Features, 2018, section 4.4,
      and Krähenbühl et al., Data-dependent Initializations of Convolutional Neural Networks, 2016,
      section 4, whose code sums over the classes and averages over the images.

    Example:
      >>> import jax.numpy as jnp
      >>> labels = jnp.array([[1, 0, -1], [-1, -1, -1]])
      >>> print(f"{multi_label_cross_entropy(jnp.zeros((2, 3)), labels):.4f}")  # Twice ln 2.
      1.3863
    """
    check_same_shape(logits=logits, labels=labels)
    wide, known = as_float32(logits), labels >= 0
    # -log sigmoid(x) = softplus(-x), of a class that the image has.
    terms = jnp.where(known, jax.nn.softplus(jnp.where(labels == 1, -wide, wide)), 0.0)
    images = jnp.sum(jnp.any(known, axis=1).astype(jnp.float32))
    total = sum_over(jnp.sum(terms), axis_name)
    return total / jnp.maximum(sum_over(images, axis_name), 1.0)
