"""SimSiam on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config simsiam/cifar10 --workdir DIR

    As there, the learning rate is 0.06 whatever the batch: the paper has it at batch 512, for 800
    epochs. The zero start of the residual branches and the predictor's constant rate, which are not
    there, are the paper's.
    """
    config = base_config("simsiam")
    cifar10.encoder(config, learning_rate=0.06)
    config.optimizer.scaling = "none"
    config.method.projector_layers = 2
    config.method.view.crop_scale = (0.2, 1.0)
    config.model.encoder.zero_init_residual = True
    return config
