"""Prediction of a bag of visual words."""

import jax
import jax.numpy as jnp
from jax.scipy.special import entr
from jaxtyping import Array, Float, Float32

from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32


def bag_of_words(
    logits: Float[Array, "batch words"], targets: Float[Array, "batch words"]
) -> Float32[Array, ""]:
    """How far the predicted shares of the words are from those in the image.

    Args:
      logits: Of the words, for each image.
      targets: Shares of the words, which sum to 1; they get no gradient.

    Returns:
      Kullback-Leibler divergence of the predictions from the targets, in nats, averaged over the
      batch; its gradient is that of the cross-entropy.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Gidaris et al., Learning Representations by Predicting Bags of Visual Words
      (arXiv:2002.12247), 2020, eq. 3.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{bag_of_words(jnp.zeros((1, 4)), jnp.array([[0.5, 0.5, 0.0, 0.0]])):.4f}")
      0.6931
    """
    check_same_shape(logits=logits, targets=targets)
    targets = jax.lax.stop_gradient(as_float32(targets))
    predicted = jax.nn.log_softmax(as_float32(logits))
    return -jnp.mean(jnp.sum(targets * predicted + entr(targets), axis=1))
