"""DeepCluster-v2 on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax import recipes
from ssljax.config import base_config


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs and one that fills the memory, as the other methods of that table.

    python -m ssljax.main --config configs/deepcluster_v2/cifar10.py --workdir DIR
    """
    config = base_config("deepcluster_v2")
    recipes.cifar10(config)
    config.epochs = 201.0
    config.method.update(projector_hidden_dim=2048, local_crops=0)
    config.method.view.update(
        crop_scale=(0.08, 1.0), brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1
    )
    return config
