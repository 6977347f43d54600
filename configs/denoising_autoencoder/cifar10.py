"""The denoising autoencoder on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """A ResNet-18 and a decoder that mirrors it, or thin networks for a CPU.

        python -m ssljax.main --config denoising_autoencoder/cifar10 --workdir DIR
        python -m ssljax.main --config denoising_autoencoder/cifar10:cpu --workdir DIR

    The papers pretrain layers of small networks one by one, on digits and small grey patches; this
    is the same task for a convolutional network.

    Args:
      variant: "" for 200 epochs on accelerators; "cpu" for thin networks and minutes on two cores.
    """
    config = base_config("denoising_autoencoder")
    cifar10.pretext(config)
    config.optimizer.update(
        name="adamw", learning_rate=1e-3, scaling="none", warmup_epochs=5.0, weight_decay=1e-4
    )
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.decoder_widths = (64, 32, 16)
    return config
