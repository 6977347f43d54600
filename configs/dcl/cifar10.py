"""DCL on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config import base_config


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config configs/dcl/cifar10.py --workdir DIR

    The loss here is the sum over both views, which that benchmark halves: half of its learning rate
    (0.06 at batch 128) and twice its weight decay make the same steps.
    """
    config = base_config("dcl")
    config.batch_size = 512
    config.epochs = 200.0
    config.data.update(name="cifar10", image_size=32, cache="device")
    config.method.view.update(
        size=32, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur_p=0.0
    )
    config.model.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd", learning_rate=0.06, scaling="linear", weight_decay=1e-3, exclude=()
    )
    config.evals.every = 4850
    return config
