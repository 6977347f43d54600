"""What keeps a discriminator smooth: penalties on its input gradient, and weight clipping.

A penalty calls the discriminator as `critic(images) -> (batch,)`, with its parameters bound, and is
differentiated by them in turn. Each score must depend on its own image alone: no batch norm.
Otherwise it is the slope of the sum of scores. The weight (lambda or gamma) is the caller's.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ssljax.ops.axes import AxisName, mean_over
from ssljax.ops.checks import check_positive, check_same_shape
from ssljax.ops.floats import as_float32
from ssljax.ops.normalize import l2_norm

Critic = Callable[[Array], Array]


def interpolated_gradient_penalty(
    critic: Critic,
    real: Float[Array, "batch *values"],
    fake: Float[Array, "batch *values"],
    key: PRNGKeyArray,
    target: float = 1.0,
) -> Float[Array, ""]:
    """WGAN-GP: one slope at random places on the lines between real and generated images.

    Args:
      critic: The discriminator, as above.
      real: Real images.
      fake: Generated images; row i is paired with row i of `real`.
      key: Draws one place per pair.
      target: The slope, above 0.

    Returns:
      Mean of (norm of the gradient by all values of an image / target - 1) ** 2. Its weight is 10.

    Raises:
      ValueError: If the shapes differ, the target is not positive, or the critic does not give one
        score per image.

    Reference:
      Gulrajani et al., Improved Training of Wasserstein GANs, 2017, algorithm 1. A target other
      than 1: Karras et al., Progressive Growing of GANs, 2018, the appendix on CIFAR-10.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> critic = lambda x: 3 * x[:, 0]
      >>> x = jnp.zeros((4, 2))
      >>> print(interpolated_gradient_penalty(critic, x, x + 1, jax.random.key(0)))
      4.0
    """
    check_same_shape(real=real, fake=fake)
    check_positive(target=target)
    return _distance_from_slope(critic, _between(real, fake, key), target)


def dragan_penalty(
    critic: Critic,
    real: Float[Array, "batch *values"],
    key: PRNGKeyArray,
    axis_name: AxisName = None,
) -> Float[Array, ""]:
    """DRAGAN: slope 1 around real images.

    As in the authors' code, noise is uniform in [0, s / 2), where s is the standard deviation of
    all values of the batch, and the gradient is taken at a random place, one per image, on the line
    from the image to the noisy one.

    Args:
      critic: The discriminator, as above.
      real: Real images.
      key: Draws the noise and the places.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies, so that
        s is the whole batch's. The penalty is the mean over this device's images, whose draws
        need a key of this device's own.

    Returns:
      Mean of (norm of the gradient by all values of an image - 1) ** 2. Its weight is 10.

    Raises:
      ValueError: If the critic does not give one score per image.

    Reference:
      Kodali et al., On Convergence and Stability of GANs, 2017, algorithm 1.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> critic = lambda x: 3 * x[:, 0]
      >>> print(dragan_penalty(critic, jnp.ones((4, 2)), jax.random.key(0)))
      4.0
    """
    noise_key, place_key = jax.random.split(key)
    exact = _exact(real)
    noise = jax.random.uniform(noise_key, real.shape, exact.dtype)
    mean = mean_over(jnp.mean(exact), axis_name)
    deviation = jnp.sqrt(mean_over(jnp.mean(jnp.square(exact - mean)), axis_name))
    noisy = exact + deviation / 2 * noise
    return _distance_from_slope(critic, _between(real, noisy.astype(real.dtype), place_key))


def zero_centered_penalty(
    critic: Critic, images: Float[Array, "batch *values"]
) -> Float[Array, ""]:
    """R1 on real images, R2 on generated ones: half the squared norm of the gradient.

    Args:
      critic: The discriminator, as above.
      images: Where the gradient is taken.

    Returns:
      Half of the mean squared norm, by all values of an image. The weight is gamma.

    Raises:
      ValueError: If the critic does not give one score per image.

    Reference:
      Mescheder et al., Which Training Methods for GANs do actually Converge?, 2018, eq. 9-10.

    Example:
      >>> import jax.numpy as jnp
      >>> print(zero_centered_penalty(lambda x: 3 * x[:, 0], jnp.zeros((4, 2))))
      4.5
    """
    return jnp.mean(jnp.sum(jnp.square(_slopes(critic, images)), axis=1)) / 2


def clip_weights(params: PyTree, limit: float) -> PyTree:
    """Clips every parameter to [-limit, limit].

    Args:
      params: The critic's parameters.
      limit: Above 0; 0.01 in WGAN, which clips before each update of the critic.

    Returns:
      The clipped parameters.

    Raises:
      ValueError: If the limit is not positive.

    Reference:
      Arjovsky et al., Wasserstein GAN, 2017, algorithm 1.

    Example:
      >>> import jax.numpy as jnp
      >>> print(clip_weights({"kernel": jnp.array([-2.0, 0.25])}, 0.5)["kernel"])
      [-0.5   0.25]
    """
    check_positive(limit=limit)
    return jax.tree.map(lambda weight: jnp.clip(weight, -limit, limit), params)


def _between(
    start: Float[Array, "batch *values"], end: Float[Array, "batch *values"], key: PRNGKeyArray
) -> Float[Array, "batch *values"]:
    """A random place on each line: one draw per example, the same for all its values."""
    shape = (start.shape[0], *[1] * (start.ndim - 1))
    low, high = _exact(start), _exact(end)
    place = jax.random.uniform(key, shape, low.dtype)
    return (low + place * (high - low)).astype(start.dtype)


def _distance_from_slope(
    critic: Critic, images: Float[Array, "batch *values"], target: float = 1.0
) -> Float[Array, ""]:
    """Mean squared distance of the slopes from the target, as a share of it."""
    return jnp.mean(jnp.square(l2_norm(_slopes(critic, images)) / target - 1))


def _slopes(
    critic: Critic, images: Float[Array, "batch *values"]
) -> Float[Array, "batch all_values"]:
    """Gradient of each image's score by all its values."""

    def total(images: Array) -> Array:
        scores = critic(images)
        if scores.shape != images.shape[:1]:
            raise ValueError(
                f"The critic gave scores of shape {scores.shape} for {images.shape[0]} images; "
                "it must give one score per image."
            )
        return jnp.sum(scores)

    return _exact(jax.grad(total)(images)).reshape(images.shape[0], -1)


def _exact(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """In float32 at least."""
    return x if jnp.finfo(x.dtype).bits >= 32 else as_float32(x)
