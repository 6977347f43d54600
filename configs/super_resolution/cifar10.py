"""Super-resolution of CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """SRResNet from 16 to 32 pixels, or a thinner one on a CPU.

        python -m ssljax.main --config super_resolution/cifar10 --workdir DIR
        python -m ssljax.main --config super_resolution/cifar10:cpu --workdir DIR

    For SRGAN add `--config.init.workdir=SRRESNET --config.method.adversarial_weight=0.001`.

    Args:
      variant: "" for 200 epochs on accelerators; "cpu" for thin networks and minutes on two cores.
    """
    config = base_config("super_resolution")
    config.batch_size = 128
    config.epochs = 200.0
    cifar10.data(config)
    config.method.factor = 2
    config.method.view.size = 32
    config.model.encoder.dtype = "bfloat16"
    config.model.discriminator.dtype = "bfloat16"
    config.optimizer.update(name="adam", learning_rate=1e-3, scaling="none", exclude=())
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.upscaler_channels = 8
        # The shared encoder shrinks its images, which super-resolution cannot use.
        config.model.encoder.update(name="srresnet", blocks=4, channels=16, dtype="float32")
        config.model.discriminator.update(width=0.125, dtype="float32")
    return config
