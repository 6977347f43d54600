"""The context encoder on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """A ResNet-18 paints the middle 16 pixels, or thin networks do on a CPU.

        python -m ssljax.main --config context_encoder/cifar10 --workdir DIR
        python -m ssljax.main --config context_encoder/cifar10:cpu --workdir DIR

    Add `--config.method.region=random --config.method.overlap=0` for regions of any shape, and
    `--config.method.adversarial_weight=0` for the squared error alone.

    Args:
      variant: "" for 200 epochs on accelerators; "cpu" for thin networks and minutes on two cores.
    """
    config = base_config("context_encoder")
    cifar10.pretext(config)
    config.method.update(
        # Of 32 pixels what the authors have of 128.
        region_resolution=0.24,
        overlap=1,
        bottleneck=1000,
        decoder_widths=(256, 128),
    )
    config.method.view.update(size=32, mean=presets.CIFAR10_MEAN, std=presets.CIFAR10_STD)
    config.model.discriminator.dtype = "bfloat16"
    config.optimizer.update(
        name="adam", learning_rate=2e-3, schedule="constant", b1=0.5, exclude=()
    )
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.update(bottleneck=256, decoder_widths=(64, 32))
        config.model.discriminator.update(width=0.125, dtype="float32")
    return config
