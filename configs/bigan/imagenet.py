"""BiGAN on ImageNet."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config(variant: Literal["", "generalized"] = "") -> ConfigDict:
    """The authors' training on all classes at 64 pixels: 100 epochs.

        python -m ssljax.main --config bigan/imagenet --workdir DIR
        python -m ssljax.main --config bigan/imagenet:generalized --workdir DIR

    The authors cut crops from images whose shorter side is 72 pixels, and here from the centre
    square of such images. The encoder is the library's AlexNet with their channels: its
    convolutions have no groups, biases beside the norms, a norm after the first one, and ReLUs
    where theirs leak. Theirs pads the first convolution by 5 pixels and the pools by 1, so that 4x4
    places of 256 channels come before the code at 64 pixels, where here there are 3x3; and its
    kernels start from a normal distribution of deviation 0.02, where the library's AlexNet has He's
    initialisation. This config has not been run to its end.

    Args:
      variant: "" for crops of 64 pixels of 72 for all networks; "generalized" for an encoder of
        crops of 112 pixels of 128, which are reduced to 64 for the discriminator.
    """
    config = base_config("bigan")
    imagenet.pretraining(config, batch_size=128, epochs=100.0, eval_every=50_000, save_every=10_000)
    whole, crop = (128, 112) if variant == "generalized" else (72, 64)
    share = (crop / whole) ** 2
    config.data.update(crop="device", image_size=whole)
    config.method.update(latent_dim=200, image_size=64)
    config.method.view.update(
        size=crop, crop_scale=(share, share), crop_ratio=(1.0, 1.0), mean=(0.5,), std=(0.5,)
    )
    config.model.encoder.update(name="alexnet", widths=(96, 256, 384, 384, 256), dtype="bfloat16")
    config.model.generator.update(name="bigan", dtype="bfloat16")
    config.model.discriminator.update(name="bigan", dtype="bfloat16")
    config.optimizer.update(
        name="adam",
        learning_rate=2e-4,
        schedule="exponential",
        hold=0.5,
        end_factor=0.01,
        b1=0.5,
        b2=0.999,
        weight_decay=2.5e-5,
        exclude=("scale$",),  # Of the norms, and not their biases.
    )
    config.evals.stages = ("conv1", "conv2", "conv3", "conv4", "conv5")
    config.evals.pool_values = 9600
    return config
