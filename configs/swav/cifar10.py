"""SwAV on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config import base_config


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config configs/swav/cifar10.py --workdir DIR

    The optimizer is SGD, as for the other methods of that benchmark; its SwAV has Adam.
    """
    config = base_config("swav")
    config.batch_size = 512
    config.epochs = 200.0
    config.data.update(name="cifar10", image_size=32, cache="device")
    config.method.update(prototypes=512, projector_hidden_dim=512, local_crops=0)
    config.method.view.update(
        size=32,
        crop_scale=(0.08, 1.0),
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        blur_p=0.0,
    )
    config.model.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd", learning_rate=0.12, scaling="linear", weight_decay=5e-4, exclude=()
    )
    config.evals.every = 4850
    return config
