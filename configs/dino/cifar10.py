"""DINO on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config dino/cifar10 --workdir DIR

    As there, the head has two layers with batch norm and there are no small crops. The teacher's
    momentum climbs from 0.99 to 1, which there stays at 0.99; the clipping and the frozen last
    layer are the paper's.
    """
    config = base_config("dino")
    cifar10.encoder(config)
    config.method.update(
        momentum=0.99,
        weight_decay_end=5e-4,
        projector_layers=2,
        projector_batch_norm=True,
        out_dim=2048,
        local_crops=0,
    )
    for view in (config.method.view1, config.method.view2):
        view.update(crop_scale=(0.4, 1.0), saturation=0.2)
    config.method.view2.solarize_p = 0.2
    return config
