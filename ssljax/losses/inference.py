"""The losses of BiGAN and BigBiGAN, whose discriminators judge images together with their codes.

A real pair is an image and its code by the encoder; a generated pair is a drawn code and its image.
All take logits or scores, never probabilities. Real and generated pairs may differ in number.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from ssljax.ops.floats import as_float32


def bigan_discriminator(
    real_logits: Float[Array, "real"], fake_logits: Float[Array, "fake"]
) -> Float32[Array, ""]:
    """Half of -log D(x, E(x)) - log(1 - D(G(z), z)).

    Args:
      real_logits: Of images with their codes.
      fake_logits: Of codes with their images.

    Returns:
      The loss in nats, at least 0; log 2 for a discriminator that cannot tell. Beside it stands a
      weight decay, so that the half is not a matter of the learning rate alone.

    Reference:
      Donahue et al., Adversarial Feature Learning, 2017, eq. 2; `gan.py` of the authors' code.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{bigan_discriminator(jnp.zeros(4), jnp.zeros(2)):.4f}")
      0.6931
    """
    real, fake = as_float32(real_logits), as_float32(fake_logits)
    return (jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))) / 2


def bigan_encoder_generator(
    real_logits: Float[Array, "real"], fake_logits: Float[Array, "fake"]
) -> Float32[Array, ""]:
    """Half of -log(1 - D(x, E(x))) - log D(G(z), z): the discriminator's loss, labels flipped.

    Its gradient is strongest while the discriminator wins; the negative of the discriminator's loss
    would fade there.

    Args:
      real_logits: Of images with their codes, through which the encoder learns.
      fake_logits: Of codes with their images, through which the generator does.

    Returns:
      The loss in nats, at least 0.

    Reference:
      Donahue et al., Adversarial Feature Learning, 2017, section 3.4.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{bigan_encoder_generator(jnp.array([2.0]), jnp.array([-2.0])):.4f}")
      2.1269
    """
    return bigan_discriminator(fake_logits, real_logits)


def bigbigan_discriminator(
    real_scores: Float[Array, "real scores"], fake_scores: Float[Array, "fake scores"]
) -> Float32[Array, ""]:
    """Sum over the scores of max(0, 1 - real) + max(0, 1 + fake): each score has its own hinge.

    Args:
      real_scores: Of images with their codes: of the image, of the code, and of both together.
      fake_scores: The same of codes with their images.

    Returns:
      The loss, at least 0. The authors' notebook has a mean over the scores in the sum's place.

    Reference:
      Donahue and Simonyan, Large Scale Adversarial Representation Learning, 2019, section 2.

    Example:
      >>> import jax.numpy as jnp
      >>> print(bigbigan_discriminator(jnp.array([[3.0, -1.0]]), jnp.array([[-3.0, -3.0]])))
      2.0
    """
    real, fake = as_float32(real_scores), as_float32(fake_scores)
    of_real = jnp.sum(jnp.mean(jax.nn.relu(1 - real), axis=0))
    return of_real + jnp.sum(jnp.mean(jax.nn.relu(1 + fake), axis=0))


def bigbigan_encoder_generator(
    real_scores: Float[Array, "real scores"], fake_scores: Float[Array, "fake scores"]
) -> Float32[Array, ""]:
    """Sum over the scores of those of the real pairs less those of the generated ones.

    Args:
      real_scores: Of images with their codes, as in `bigbigan_discriminator`.
      fake_scores: Of codes with their images.

    Returns:
      The loss, which falls as the encoder's pairs are taken for generated ones, and the
      generator's for real.

    Reference:
      Donahue and Simonyan, Large Scale Adversarial Representation Learning, 2019, section 2.

    Example:
      >>> import jax.numpy as jnp
      >>> print(bigbigan_encoder_generator(jnp.array([[3.0, -1.0]]), jnp.array([[-3.0, -2.0]])))
      7.0
    """
    real, fake = as_float32(real_scores), as_float32(fake_scores)
    return jnp.sum(jnp.mean(real, axis=0)) - jnp.sum(jnp.mean(fake, axis=0))
