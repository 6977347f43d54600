"""The losses of GANs: what the discriminator minimises, and what the generator.

All take logits, never probabilities: D(x) = sigmoid(logit), and log D(x) = -softplus(-logit). Real
and fake logits may differ in number, and a discriminator may give one logit per image or one per
place of it (PatchGAN): the losses are means over all.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from ssljax.ops.floats import as_float32


def logistic_discriminator(
    real_logits: Float[Array, "real *places"], fake_logits: Float[Array, "fake *places"]
) -> Float32[Array, ""]:
    """-log D(x) - log(1 - D(G(z))): the discriminator of minimax and non-saturating GANs.

    Args:
      real_logits: Of real images.
      fake_logits: Of generated images.

    Returns:
      The loss in nats, at least 0; 2 log 2 for a discriminator that cannot tell.

    Reference:
      Goodfellow et al., Generative Adversarial Nets, 2014, eq. 1.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{logistic_discriminator(jnp.zeros(4), jnp.zeros(2)):.4f}")
      1.3863
    """
    real, fake = as_float32(real_logits), as_float32(fake_logits)
    return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))


def minimax_generator(fake_logits: Float[Array, "fake *places"]) -> Float32[Array, ""]:
    """log(1 - D(G(z))): its gradient fades while the discriminator wins.

    Args:
      fake_logits: Of generated images.

    Returns:
      The loss in nats, at most 0.

    Reference:
      Goodfellow et al., Generative Adversarial Nets, 2014, eq. 1.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{minimax_generator(jnp.zeros(4)):.4f}")
      -0.6931
    """
    return -jnp.mean(jax.nn.softplus(as_float32(fake_logits)))


def non_saturating_generator(fake_logits: Float[Array, "fake *places"]) -> Float32[Array, ""]:
    """-log D(G(z)): its gradient is strongest while the discriminator wins.

    Args:
      fake_logits: Of generated images.

    Returns:
      The loss in nats, at least 0.

    Reference:
      Goodfellow et al., Generative Adversarial Nets, 2014, section 3.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{non_saturating_generator(jnp.zeros(4)):.4f}")
      0.6931
    """
    return jnp.mean(jax.nn.softplus(-as_float32(fake_logits)))


def least_squares_discriminator(
    real_logits: Float[Array, "real *places"], fake_logits: Float[Array, "fake *places"]
) -> Float32[Array, ""]:
    """Half the squared distances of the outputs from 1 (real) and 0 (generated).

    Args:
      real_logits: Of real images; the outputs themselves, no sigmoid follows.
      fake_logits: Of generated images.

    Returns:
      The loss, at least 0. With CycleGAN's halved discriminator loss it is the same.

    Reference:
      Mao et al., Least Squares Generative Adversarial Networks, 2017, eq. 9.

    Example:
      >>> import jax.numpy as jnp
      >>> print(least_squares_discriminator(jnp.array([3.0]), jnp.array([1.0])))
      2.5
    """
    real, fake = as_float32(real_logits), as_float32(fake_logits)
    return (jnp.mean(jnp.square(real - 1)) + jnp.mean(jnp.square(fake))) / 2


def least_squares_generator(fake_logits: Float[Array, "fake *places"]) -> Float32[Array, ""]:
    """Half the squared distance of the outputs from 1.

    Args:
      fake_logits: Of generated images; the outputs themselves, no sigmoid follows.

    Returns:
      The loss, at least 0; half of what CycleGAN weighs with its other terms.

    Reference:
      Mao et al., Least Squares Generative Adversarial Networks, 2017, eq. 9.

    Example:
      >>> import jax.numpy as jnp
      >>> print(least_squares_generator(jnp.array([3.0])))
      2.0
    """
    return jnp.mean(jnp.square(as_float32(fake_logits) - 1)) / 2


def hinge_discriminator(
    real_logits: Float[Array, "real *places"], fake_logits: Float[Array, "fake *places"]
) -> Float32[Array, ""]:
    """max(0, 1 - real) + max(0, 1 + fake): no gradient beyond the margins 1 and -1.

    Args:
      real_logits: Of real images.
      fake_logits: Of generated images.

    Returns:
      The loss, at least 0.

    Reference:
      Lim and Ye, Geometric GAN, 2017; Miyato et al., Spectral Normalization for Generative
      Adversarial Networks, 2018, eq. 16.

    Example:
      >>> import jax.numpy as jnp
      >>> print(hinge_discriminator(jnp.array([2.0, -1.0]), jnp.array([0.5, -3.0])))
      1.75
    """
    real, fake = as_float32(real_logits), as_float32(fake_logits)
    return jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake))


def wasserstein_discriminator(
    real_scores: Float[Array, "real *places"], fake_scores: Float[Array, "fake *places"]
) -> Float32[Array, ""]:
    """Mean score of the generated images less that of the real ones.

    The critic must be kept from growing: see `clip_weights` and `interpolated_gradient_penalty`.

    Args:
      real_scores: The critic's outputs for real images.
      fake_scores: For generated images.

    Returns:
      Minus the estimate of the Wasserstein distance, up to the critic's Lipschitz constant.

    Reference:
      Arjovsky et al., Wasserstein GAN, 2017, algorithm 1.

    Example:
      >>> import jax.numpy as jnp
      >>> print(wasserstein_discriminator(jnp.array([2.0, 4.0]), jnp.array([1.0])))
      -2.0
    """
    return jnp.mean(as_float32(fake_scores)) - jnp.mean(as_float32(real_scores))


def wasserstein_generator(fake_scores: Float[Array, "fake *places"]) -> Float32[Array, ""]:
    """Minus the mean score of the generated images; the generator of hinge GANs as well.

    Args:
      fake_scores: The critic's outputs for generated images.

    Returns:
      The loss.

    Reference:
      Arjovsky et al., Wasserstein GAN, 2017, algorithm 1; Miyato et al., Spectral Normalization for
      Generative Adversarial Networks, 2018, eq. 17.

    Example:
      >>> import jax.numpy as jnp
      >>> print(wasserstein_generator(jnp.array([1.0, 3.0])))
      -2.0
    """
    return -jnp.mean(as_float32(fake_scores))


def score_drift(real_scores: Float[Array, "real *places"]) -> Float32[Array, ""]:
    """Mean squared score: holds a Wasserstein critic, which knows differences only, near 0.

    Args:
      real_scores: The critic's outputs for real images.

    Returns:
      The penalty, at least 0. ProGAN adds it with weight 1e-3.

    Reference:
      Karras et al., Progressive Growing of GANs, 2018, appendix A.1.

    Example:
      >>> import jax.numpy as jnp
      >>> print(score_drift(jnp.array([1.0, -3.0])))
      5.0
    """
    return jnp.mean(jnp.square(as_float32(real_scores)))


class GANLoss(NamedTuple):
    """Both sides of a game.

    Attributes:
      discriminator: `discriminator(real_logits, fake_logits) -> loss`.
      generator: `generator(fake_logits) -> loss`.
    """

    discriminator: Callable[..., Array]
    generator: Callable[..., Array]


GAN_LOSSES: dict[str, GANLoss] = {
    "minimax": GANLoss(logistic_discriminator, minimax_generator),
    "non_saturating": GANLoss(logistic_discriminator, non_saturating_generator),
    "least_squares": GANLoss(least_squares_discriminator, least_squares_generator),
    "hinge": GANLoss(hinge_discriminator, wasserstein_generator),
    "wasserstein": GANLoss(wasserstein_discriminator, wasserstein_generator),
}
