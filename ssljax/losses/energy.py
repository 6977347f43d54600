"""EBGAN: the discriminator is an autoencoder, and its reconstruction error an energy."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from ssljax.ops.axes import AxisName, all_rows, batch_size, on_any_mesh, own_places, sum_over
from ssljax.ops.checks import check_positive, check_same_shape
from ssljax.ops.floats import as_float32
from ssljax.ops.normalize import l2_norm
from ssljax.ops.similarity import cosine_similarity_matrix


def reconstruction_energy(
    images: Float[Array, "batch *values"], reconstructions: Float[Array, "batch *values"]
) -> Float32[Array, "batch"]:
    """Euclidean distance of each image from its reconstruction, over all its pixels.

    Args:
      images: What the autoencoder was given.
      reconstructions: What it returned.

    Returns:
      One energy per image, at least 0; for pixels in [-1, 1] at most 2 * sqrt(values). The
      gradient of a perfect reconstruction is 0.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Zhao et al., Energy-based Generative Adversarial Network, 2017, eq. 4.

    Example:
      >>> import jax.numpy as jnp
      >>> print(reconstruction_energy(jnp.zeros((1, 2, 1)), jnp.array([[[3.0], [4.0]]])))
      [5.]
    """
    check_same_shape(images=images, reconstructions=reconstructions)
    error = as_float32(reconstructions) - as_float32(images)
    return l2_norm(error.reshape(images.shape[0], -1))


def ebgan_discriminator(
    real_energies: Float[Array, "real"],
    fake_energies: Float[Array, "fake"],
    margin: float,
) -> Float32[Array, ""]:
    """Lowers the energy of real images, and raises that of generated ones up to a margin.

    Args:
      real_energies: Of real images, at least 0.
      fake_energies: Of generated images.
      margin: The energy above which generated images no longer count, above 0; 10 for MNIST.

    Returns:
      The loss, at least 0.

    Raises:
      ValueError: If the margin is not positive.

    Reference:
      Zhao et al., Energy-based Generative Adversarial Network, 2017, eq. 1.

    Example:
      >>> import jax.numpy as jnp
      >>> print(ebgan_discriminator(jnp.array([1.0]), jnp.array([4.0, 12.0]), margin=10))
      4.0
    """
    check_positive(margin=margin)
    real, fake = as_float32(real_energies), as_float32(fake_energies)
    return jnp.mean(real) + jnp.mean(jax.nn.relu(margin - fake))


def ebgan_generator(fake_energies: Float[Array, "fake"]) -> Float32[Array, ""]:
    """Mean energy of the generated images. EBGAN-PT adds 0.1 times `pulling_away` of their codes.

    Args:
      fake_energies: Of generated images.

    Returns:
      The loss, at least 0.

    Reference:
      Zhao et al., Energy-based Generative Adversarial Network, 2017, eq. 2.

    Example:
      >>> import jax.numpy as jnp
      >>> print(ebgan_generator(jnp.array([1.0, 3.0])))
      2.0
    """
    return jnp.mean(as_float32(fake_energies))


@on_any_mesh()
def pulling_away(
    codes: Float[Array, "batch *values"], axis_name: AxisName = None
) -> Float32[Array, ""]:
    """Mean squared cosine between the codes of different images of a batch.

    A term of the generator's loss alone: it makes the generated images' codes orthogonal.

    Args:
      codes: The encoder's outputs for generated images; all values of an image are one vector.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The term
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The term, in [0, 1]; 1 if all codes lie on one line.

    Raises:
      ValueError: If the batch has one image, which has no pair.

    Reference:
      Zhao et al., Energy-based Generative Adversarial Network, 2017, eq. 5.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{pulling_away(jnp.array([[1.0, 0.0], [0.0, 2.0], [0.0, -1.0]])):.4f}")
      0.3333
    """
    batch = batch_size(codes, axis_name)
    if batch < 2:
        raise ValueError("The pulling-away term needs two images or more: one alone has no pair.")
    flat = as_float32(codes).reshape(codes.shape[0], -1)
    cosine = cosine_similarity_matrix(flat, all_rows(flat, axis_name))
    pairs = jnp.where(own_places(flat, axis_name), 0.0, jnp.square(cosine))
    return sum_over(jnp.sum(pairs), axis_name) / (batch * (batch - 1))
