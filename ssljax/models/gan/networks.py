"""The tables of generators and discriminators, and their roles in a method."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn

from ssljax.models.gan.autoencoder import AutoencoderDiscriminator, MLPAutoencoder, MLPGenerator
from ssljax.models.gan.bigan import (
    BiGANDiscriminator,
    BiGANGenerator,
    BiGANMLPDiscriminator,
    BiGANMLPGenerator,
)
from ssljax.models.gan.biggan import BigBiGANDiscriminator, BigGANGenerator
from ssljax.models.gan.dcgan import DCGANDiscriminator, DCGANGenerator
from ssljax.models.gan.progan import ProGANDiscriminator, ProGANGenerator
from ssljax.models.gan.sngan import ResNetDiscriminator, ResNetGenerator
from ssljax.models.gan.srgan import SRGANDiscriminator
from ssljax.models.registry import build
from ssljax.models.roles import Role

GENERATORS: dict[str, Callable[..., nn.Module]] = {
    "dcgan": DCGANGenerator,
    "sngan": ResNetGenerator,
    "wgan_gp": partial(ResNetGenerator, small_channels=128),
    "mlp": MLPGenerator,
    "bigan": BiGANGenerator,
    "bigan_mlp": BiGANMLPGenerator,
    "biggan": BigGANGenerator,
    "progan": ProGANGenerator,
}

DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "dcgan": DCGANDiscriminator,
    "sngan": partial(ResNetDiscriminator, pool="sum", spectral_norm=True),
    "wgan_gp": partial(ResNetDiscriminator, pool="mean"),
    "srgan": SRGANDiscriminator,
    "autoencoder": AutoencoderDiscriminator,
    "mlp_autoencoder": MLPAutoencoder,
    "progan": ProGANDiscriminator,
}

JOINT_DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "bigan": BiGANDiscriminator,
    "bigan_mlp": BiGANMLPDiscriminator,
    "bigbigan": BigBiGANDiscriminator,
}
"""Called as `discriminator((images, codes), train, labels=None)`."""

GENERATOR = Role(
    kind="generator",
    networks=GENERATORS,
    options=dict(name="dcgan", width=1.0, norm="batch", dtype="float32"),
)

DISCRIMINATOR = Role(
    kind="discriminator",
    networks=DISCRIMINATORS,
    options=dict(name="dcgan", width=1.0, norm="batch", spectral_norm=False, dtype="float32"),
)

JOINT_DISCRIMINATOR = Role(
    kind="joint discriminator",
    networks=JOINT_DISCRIMINATORS,
    options=dict(name="bigan", width=1.0, dtype="float32"),
)


def build_generator(name: str, **options: Any) -> nn.Module:
    """Makes the generator of that name.

    A generator is called as `generator(latents, train, labels=None)` and returns images (batch,
    height, width, channels) in [-1, 1]; ProGAN's may lie beyond.

    Args:
      name: A key of `GENERATORS`.
      **options: Attributes of the generator, such as `image_size=28`.

    Returns:
      The module, without parameters.

    Raises:
      ValueError: If the name or an option is unknown.
    """
    return build("generator", GENERATORS, name, options)


def build_discriminator(name: str, **options: Any) -> nn.Module:
    """Makes the discriminator of that name.

    A discriminator is called as `discriminator(images, train, labels=None)` with images in
    [-1, 1] and returns a dictionary of named outputs: `block1`, `block2` ... (batch, height,
    width, channels), `features` (batch, dim) and `logits` (batch,); with their options also
    `rotation` and `class_logits`. An autoencoder has no logits but `code` (batch, dim) and
    `reconstruction`.

    Args:
      name: A key of `DISCRIMINATORS`.
      **options: Attributes of the discriminator, such as `norm="none"`.

    Returns:
      The module, without parameters.

    Raises:
      ValueError: If the name or an option is unknown.
    """
    return build("discriminator", DISCRIMINATORS, name, options)
