"""MoCo v3 on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config import base_config


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, with the optimizer of lightly's CIFAR-10 benchmark.

    python -m ssljax.main --config configs/moco_v3/cifar10.py --workdir DIR

    The authors give no values for CIFAR.
    """
    config = base_config("moco_v3")
    config.batch_size = 512
    config.epochs = 200.0
    config.data.update(name="cifar10", image_size=32, cache="device")
    config.method.update(temperature=0.2, projector_hidden_dim=2048, predictor_hidden_dim=2048)
    for view in (config.method.view1, config.method.view2):
        view.update(size=32, crop_scale=(0.08, 1.0), blur_p=0.0)
    config.model.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd", learning_rate=0.12, scaling="linear", weight_decay=5e-4, exclude=()
    )
    config.evals.every = 4850
    return config
