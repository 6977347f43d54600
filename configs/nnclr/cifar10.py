"""NNCLR on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config import base_config


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config configs/nnclr/cifar10.py --workdir DIR

    That benchmark has temperature 0.5 and contrasts both views with each other; here temperature
    and loss are the paper's, and so are the views, without blur.
    """
    config = base_config("nnclr")
    config.batch_size = 512
    config.epochs = 200.0
    config.data.update(name="cifar10", image_size=32, cache="device")
    config.method.update(temperature=0.2, queue_size=4096, projector_layers=2)
    for view in (config.method.view1, config.method.view2):
        view.update(size=32, blur_p=0.0)
    config.model.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd", learning_rate=0.12, scaling="linear", weight_decay=5e-4, exclude=()
    )
    config.evals.every = 4850
    return config
