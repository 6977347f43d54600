"""SGAN: a classifier of K classes that is a discriminator too.

The class "generated" has the constant logit 0, so that K logits are enough: with Z the sum of their
exponentials, D(x) = Z / (Z + 1), the sigmoid of the log-sum-exp of the logits.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32, Int

from ssljax.losses.adversarial import logistic_discriminator, minimax_generator
from ssljax.ops.axes import AxisName, mean_over, sum_over
from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32


def sgan_real_logits(class_logits: Float[Array, "batch classes"]) -> Float32[Array, "batch"]:
    """The logit of being real: the log of Z, the sum of the classes' exponentials.

    Args:
      class_logits: The discriminator's K outputs.

    Returns:
      One logit per image; its sigmoid is D(x) = Z / (Z + 1).

    Reference:
      Salimans et al., Improved Techniques for Training GANs, 2016, section 5.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> print(f"{jax.nn.sigmoid(sgan_real_logits(jnp.zeros((1, 3))))[0]:.4f}")  # Z = 3
      0.7500
    """
    return jax.nn.logsumexp(as_float32(class_logits), axis=1)


def sgan_supervised(
    class_logits: Float[Array, "batch classes"],
    labels: Int[Array, "batch"],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Cross-entropy of the labelled images: -l_y + log Z.

    Args:
      class_logits: The discriminator's K outputs for real images.
      labels: Classes; -1 where the label is not known.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      Mean over the labelled images of the global batch, in nats; 0 if there are none.

    Reference:
      Salimans et al., Improved Techniques for Training GANs, 2016, section 5.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{sgan_supervised(jnp.zeros((2, 4)), jnp.array([1, -1])):.4f}")
      1.3863
    """
    log_probabilities = jax.nn.log_softmax(as_float32(class_logits))
    # A label of -1 has no place in the one-hot rows: its row, and so its term, is zero.
    target = jax.nn.one_hot(labels, class_logits.shape[1])
    labelled = sum_over(jnp.sum(target), axis_name)
    return -sum_over(jnp.sum(target * log_probabilities), axis_name) / jnp.maximum(labelled, 1.0)


def sgan_unsupervised(
    real_logits: Float[Array, "real classes"], fake_logits: Float[Array, "fake classes"]
) -> Float32[Array, ""]:
    """Half the logistic loss of telling real from generated images, whatever their class.

    Args:
      real_logits: K outputs for real images, for which no label is needed.
      fake_logits: K outputs for generated images.

    Returns:
      (softplus(log Z) - log Z) / 2 of the real images plus softplus(log Z) / 2 of the generated
      ones, in nats, at least 0. It is added to the supervised loss with weight 1.

    Reference:
      Salimans et al., Improved Techniques for Training GANs, 2016, section 5; the halves are those
      of the authors' code.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{sgan_unsupervised(jnp.zeros((2, 1)), jnp.zeros((3, 1))):.4f}")
      0.6931
    """
    return logistic_discriminator(sgan_real_logits(real_logits), sgan_real_logits(fake_logits)) / 2


def sgan_generator(fake_logits: Float[Array, "fake classes"]) -> Float32[Array, ""]:
    """The plain generator: log(1 - D(G(z))) = -log(Z + 1).

    Args:
      fake_logits: K outputs for generated images.

    Returns:
      The loss in nats, at most 0.

    Reference:
      Salimans et al., Improved Techniques for Training GANs, 2016, section 5; the form is that of
      the authors' code.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{sgan_generator(jnp.zeros((2, 3))):.4f}")
      -1.3863
    """
    return minimax_generator(sgan_real_logits(fake_logits))


def feature_matching(
    real_features: Float[Array, "real ..."],
    fake_features: Float[Array, "fake ..."],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Squared distance between the mean features of real and of generated images.

    A generator's loss: the real images' features are the target and get no gradient.

    Args:
      real_features: Of an inner layer of the discriminator, for real images.
      fake_features: Of the same layer, for generated images.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The squared difference of the batch means, averaged over the features.

    Raises:
      ValueError: If the features differ in shape.

    Reference:
      Salimans et al., Improved Techniques for Training GANs, 2016, section 3.1.

    Example:
      >>> import jax.numpy as jnp
      >>> print(feature_matching(jnp.ones((4, 2)), jnp.array([[1.0, 4.0], [1.0, 6.0]])))
      8.0
    """
    real = mean_over(jnp.mean(as_float32(lax.stop_gradient(real_features)), axis=0), axis_name)
    fake = mean_over(jnp.mean(as_float32(fake_features), axis=0), axis_name)
    check_same_shape(real_features=real, fake_features=fake)
    return jnp.mean(jnp.square(fake - real))
