"""Decoupled contrastive learning: the positive pair leaves the denominator."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from ssljax.ops.axes import AxisName, all_rows, batch_size, mean_over, on_any_mesh, own_places
from ssljax.ops.checks import check_positive
from ssljax.ops.floats import as_float32
from ssljax.ops.similarity import cosine_similarity_matrix, paired_cosine_similarity


@on_any_mesh()
def dcl(
    z1: Float[Array, "batch dim"],
    z2: Float[Array, "batch dim"],
    temperature: float | Float[Array, ""] = 0.1,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Contrasts two views with the positive pair left out of the denominator (DCL).

    The denominator is one sum over both views of all other images. The two views' losses are
    summed, each a mean over the images.

    Args:
      z1: Projections of the first view.
      z2: Projections of the second view of the same images.
      temperature: Above 0.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The loss in nats; it is not bounded below by 0.

    Raises:
      ValueError: If the shapes differ, the batch has one image, which has no negatives, or a
        temperature or width is not above 0.

    Reference:
      Yeh et al., Decoupled Contrastive Learning, 2022, L_DC (the InfoNCE loss without its
      negative-positive coupling).

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.ones((4, 3))
      >>> print(f"{dcl(x, x):.4f}")
      3.5835
    """
    z1, z2 = as_float32(z1), as_float32(z2)
    positive = paired_cosine_similarity(z1, z2) / temperature
    return _sum_over_views(positive, z1, z2, temperature, axis_name)


@on_any_mesh()
def dclw(
    z1: Float[Array, "batch dim"],
    z2: Float[Array, "batch dim"],
    temperature: float | Float[Array, ""] = 0.1,
    sigma: float | Float[Array, ""] = 0.5,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """DCL whose positive pairs weigh more the further apart they are (DCLW).

    The weight is 2 - exp(cos/sigma) / mean(exp(cos/sigma)), of mean 1 over the global batch. As in
    the paper's formula, the weight is part of the loss, and the gradient flows through it too.

    Args:
      z1: Projections of the first view.
      z2: Projections of the second view of the same images.
      temperature: Above 0.
      sigma: Width of the weighting, above 0; as it grows, the weights go to 1.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The loss in nats.

    Raises:
      ValueError: If the shapes differ, the batch has one image, which has no negatives, or a
        temperature or width is not above 0.

    Reference:
      Yeh et al., Decoupled Contrastive Learning, 2022, L_DCW with the negative von Mises-Fisher
      weighting.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.ones((4, 3))
      >>> print(f"{dclw(x, x):.4f}")
      3.5835
    """
    check_positive(sigma=sigma)
    z1, z2 = as_float32(z1), as_float32(z2)
    cosine = paired_cosine_similarity(z1, z2)
    total = jax.nn.logsumexp(all_rows(cosine, axis_name) / sigma)
    weight = 2.0 - batch_size(z1, axis_name) * jnp.exp(cosine / sigma - total)
    return _sum_over_views(weight * cosine / temperature, z1, z2, temperature, axis_name)


def _sum_over_views(
    positive: Float32[Array, "batch"],
    z1: Float[Array, "batch dim"],
    z2: Float[Array, "batch dim"],
    temperature: float | Float[Array, ""],
    axis_name: AxisName,
) -> Float32[Array, ""]:
    check_positive(temperature=temperature)
    if batch_size(z1, axis_name) < 2:
        raise ValueError(
            "A contrastive batch needs two images or more: one alone has no negatives."
        )
    others = ~own_places(z1, axis_name)
    all1, all2 = all_rows(z1, axis_name), all_rows(z2, axis_name)

    def negatives(
        left: Float[Array, "batch dim"], right: Float[Array, "all dim"]
    ) -> Float32[Array, "batch"]:
        logits = cosine_similarity_matrix(left, right) / temperature
        return jax.nn.logsumexp(logits, axis=1, where=others)

    first = jnp.logaddexp(negatives(z1, all1), negatives(z1, all2))
    second = jnp.logaddexp(negatives(z2, all2), negatives(z2, all1))
    return mean_over(jnp.mean(first + second - 2 * positive), axis_name)
