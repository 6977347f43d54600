"""MoCo v2 on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config import base_config


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the authors' CIFAR-10 demo, whose loss is symmetric.

    python -m ssljax.main --config configs/moco/cifar10.py --workdir DIR
    """
    config = base_config("moco")
    config.batch_size = 512
    config.epochs = 200.0
    config.data.update(name="cifar10", image_size=32, cache="device")
    config.method.update(temperature=0.1, momentum=0.99, queue_size=4096, symmetric=True)
    config.method.view.update(size=32, crop_scale=(0.08, 1.0), blur_p=0.0)
    config.model.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd", learning_rate=0.03, scaling="linear", weight_decay=5e-4, exclude=()
    )
    config.evals.every = 4850
    return config
