"""Context prediction on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """Patches of 8 pixels with gaps of 2, with a ResNet-18 or a thin network for a CPU.

        python -m ssljax.main --config context_prediction/cifar10 --workdir DIR
        python -m ssljax.main --config context_prediction/cifar10:cpu --workdir DIR

    The paper has no CIFAR-10: the steps of its recipe are here at a twelfth of the size, with
    smaller gaps, as three patches would not fit otherwise. The norms have scales and biases as in
    the other tasks' networks; the paper's have none.

    Args:
      variant: "" for 200 epochs, on accelerators; "cpu" for a thin network and minutes on two
        cores.
    """
    config = base_config("context_prediction")
    cifar10.pretext(config)
    config.method.update(
        patch=8,
        gap=2,
        jitter=1,
        grids=1,
        area=(),
        rms=1.0,
        resample_least=3,
        encoder_affine=True,
        embedding_dim=256,
        hidden_dim=512,
        reduction="mean",
    )
    config.method.view.size = 32
    config.optimizer.update(name="sgd", learning_rate=0.1, weight_decay=5e-4, exclude=())
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.update(embedding_dim=64, hidden_dim=128)
    return config
