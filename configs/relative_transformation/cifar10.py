"""Autoencoding transformations on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "affine", "cpu"] = "") -> ConfigDict:
    """The authors' training on CIFAR-10, or a thin network for a CPU.

        python -m ssljax.main --config relative_transformation/cifar10 --workdir DIR
        python -m ssljax.main --config relative_transformation/cifar10:cpu --workdir DIR

    The authors let the learning rate fall linearly from epoch 1000 on, from 1.6e-4 to 1e-5; here it
    stays.

    Args:
      variant: "" for 1500 epochs of projective transformations with a network in network of four
        blocks, on accelerators; "affine" for affine ones; "cpu" for a thin network, minutes on two
        cores. Neither the outline nor the sharpness of its images tells a transformation: both are
        blurred by 1 to 2 pixels and get noise of two grey levels.

    Reference:
      `cifar/projective/main.py` and `cifar/affine/main.py` of maple-research-lab/AET.
    """
    config = base_config("relative_transformation")
    config.batch_size = 512
    config.epochs = 1500.0
    cifar10.data(config)
    config.model.encoder.update(name="nin", dtype="bfloat16")
    config.optimizer.update(
        name="sgd",
        learning_rate=0.1,
        nesterov=True,
        schedule="step",
        step_epochs=(240.0, 480.0, 640.0, 800.0),
        step_factor=0.2,
        weight_decay=5e-4,
        exclude=(),
    )
    config.evals.stages = ("block1", "block2", "block3", "block4")
    if variant == "affine":
        config.method.transformation = "affine"
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.update(border="reflect", blur=(1.0, 2.0), noise=2 / 255)
        config.method.view.crop_padding = 0  # Black bars would be an outline too.
    return config
