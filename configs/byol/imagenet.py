"""BYOL on ImageNet."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet

# Learning rate, weight decay and first momentum of the target.
_BY_EPOCHS = {
    "1000": (0.2, 1.5e-6, 0.996),
    "300": (0.3, 1e-6, 0.99),
    "100": (0.45, 1e-6, 0.99),
    "40": (0.45, 1e-6, 0.97),
}


def get_config(epochs: Literal["1000", "300", "100", "40"] = "1000") -> ConfigDict:
    """The authors' settings: ResNet-50, batch 4096, LARS, 1000, 300, 100 or 40 epochs.

        python -m ssljax.main --config byol/imagenet --workdir DIR
        python -m ssljax.main --config byol/imagenet:100 --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod.

    Args:
      epochs: "1000", "300", "100" or "40".
    """
    learning_rate, weight_decay, momentum = _BY_EPOCHS[epochs]
    config = base_config("byol")
    imagenet.pretraining(
        config, batch_size=4096, epochs=float(epochs), eval_every=31200, save_every=3120
    )
    config.method.momentum = momentum
    config.model.encoder.update(
        name="resnet50", stem="imagenet", zero_init_residual=True, dtype="bfloat16"
    )
    config.optimizer.update(
        name="lars",
        learning_rate=learning_rate,
        scaling="linear",
        warmup_epochs=10.0,
        weight_decay=weight_decay,
        classic_momentum=False,
    )
    return config
