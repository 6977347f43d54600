"""Prediction of a bag of visual words."""

import jax
import jax.numpy as jnp
from jax.scipy.special import entr
from jaxtyping import Array, Float, Float32

from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32
from ssljax.ops.similarity import inner_products


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


def word_divergences(
    logits: Float[Array, "predicted words"], targets: Float[Array, "found words"]
) -> Float32[Array, "predicted found"]:
    """How far each prediction is from the words of each image.

    Args:
      logits: Of the words.
      targets: Shares of the words, which sum to 1.

    Returns:
      At [i, j] the Kullback-Leibler divergence of prediction i from targets j, in nats.

    Example:
      >>> import jax.numpy as jnp
      >>> print(word_divergences(jnp.array([[0.0, 0.0]]), jnp.array([[1.0, 0.0], [0.5, 0.5]])))
      [[0.6931472 0.       ]]
    """
    predicted, targets = jax.nn.log_softmax(as_float32(logits)), as_float32(targets)
    return -inner_products(predicted, targets) - jnp.sum(entr(targets), axis=1)[None]


def closer_than_others(divergences: Float[Array, "batch batch"]) -> Float32[Array, "batch"]:
    """For each image the share of the others whose words fit its prediction less than its own.

    Args:
      divergences: See `word_divergences`.

    Returns:
      1 where the image's own words fit best, about 0.5 for a guess, 0 where all fit alike.

    Example:
      >>> import jax.numpy as jnp
      >>> print(closer_than_others(jnp.array([[1.0, 2.0, 0.0], [3.0, 1.0, 3.0], [1.0, 1.0, 1.0]])))
      [0.5 1.  0. ]
    """
    own = jnp.sum(divergences * jnp.eye(divergences.shape[0]), axis=1, keepdims=True)
    others = max(divergences.shape[0] - 1, 1)
    return jnp.sum((divergences > own).astype(jnp.float32), axis=1) / others
