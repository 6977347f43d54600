"""SimSiam on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config import base_config


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, with the paper's values for CIFAR-10, where it has 800 epochs.

    python -m ssljax.main --config configs/simsiam/cifar10.py --workdir DIR
    """
    config = base_config("simsiam")
    config.batch_size = 512
    config.epochs = 200.0
    config.data.update(name="cifar10", image_size=32, cache="device")
    config.method.projector_layers = 2
    config.method.view.update(size=32, blur_p=0.0)
    config.model.update(name="resnet18", stem="cifar", zero_init_residual=True, dtype="bfloat16")
    config.optimizer.update(
        name="sgd", learning_rate=0.03, scaling="linear", weight_decay=5e-4, exclude=()
    )
    config.evals.every = 4850
    return config
