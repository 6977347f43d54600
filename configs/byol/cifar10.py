"""BYOL on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config import base_config


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config configs/byol/cifar10.py --workdir DIR

    The loss here has 4 times the gradient of that benchmark's, which takes halved cosines: a
    quarter of its learning rate (0.06 at batch 128) and 4 times its weight decay make the same
    steps. Its momentum is 0.99 to the end; here it climbs to 1.
    """
    config = base_config("byol")
    config.batch_size = 512
    config.epochs = 200.0
    config.data.update(name="cifar10", image_size=32, cache="device")
    config.method.update(momentum=0.99, projector_hidden_dim=1024, predictor_hidden_dim=1024)
    for view in (config.method.view1, config.method.view2):
        view.update(size=32, blur_p=0.0)
    config.model.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd", learning_rate=0.03, scaling="linear", weight_decay=2e-3, exclude=()
    )
    config.evals.every = 4850
    return config
