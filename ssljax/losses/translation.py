"""The losses of translating images without pairs: what a discriminator says, and the way back.

The discriminators' losses are halved in all three papers' code, and stand in
`ssljax.losses.adversarial`, as the generators' do; the ways back are errors of `pixels`.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from ssljax.losses.adversarial import non_saturating_generator
from ssljax.losses.semi_supervised import feature_matching
from ssljax.ops.axes import AxisName, mean_over
from ssljax.ops.floats import as_float32

GAN_SHARE, MATCHING_SHARE = 0.1, 0.9


def discogan_generator(
    fake_logits: Float[Array, "batch"],
    real_features: Sequence[Float[Array, "batch ..."]],
    fake_features: Sequence[Float[Array, "batch ..."]],
    reconstruction: Float[Array, ""],
    rate: float | Float[Array, ""],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """DiscoGAN's generator of one domain: (0.1 GAN + 0.9 matching) (1 - r) + r reconstruction.

    Args:
      fake_logits: What the domain's discriminator says of the translations into it.
      real_features: The discriminator's normed activations for real images, layer by layer; get no
        gradient.
      fake_features: The same for translations. Means over the batch are compared, for each place
        and channel on its own; their squared differences are averaged in a layer and summed over
        the layers.
      reconstruction: The error of what has been translated and translated back.
      rate: Its share r in [0, 1]; 0.01 at first and 0.5 later.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The loss.

    Raises:
      ValueError: If the features differ in number or shape.

    Reference:
      Kim et al., Learning to Discover Cross-Domain Relations with Generative Adversarial Networks,
      2017, section 3.2; feature matching and the shares are those of the authors' code,
      `discogan/image_translation.py`, whose hinge is the identity on what is given to it.

    Example:
      >>> import jax.numpy as jnp
      >>> ones = [jnp.ones((2, 3))]
      >>> loss = discogan_generator(jnp.zeros(2), ones, [3 * ones[0]], jnp.float32(0.2), 0.5)
      >>> print(f"{loss:.4f}")  # (0.1 log 2 + 0.9 * 4) / 2 + 0.1
      1.9347
    """
    if len(real_features) != len(fake_features):
        raise ValueError(
            f"There are {len(real_features)} layers of features of real images and "
            f"{len(fake_features)} of translations: give the same ones of both."
        )
    matching = sum(
        (
            feature_matching(real, fake, axis_name)
            for real, fake in zip(real_features, fake_features, strict=True)
        ),
        start=jnp.float32(0.0),
    )
    game = mean_over(non_saturating_generator(fake_logits), axis_name)
    game = GAN_SHARE * game + MATCHING_SHARE * matching
    share = as_float32(jnp.asarray(rate))
    return game * (1.0 - share) + mean_over(as_float32(reconstruction), axis_name) * share
