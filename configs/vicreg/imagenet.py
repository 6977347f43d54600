"""VICReg on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The authors' setting: ResNet-50, batch 2048, LARS, 1000 epochs.

        python -m ssljax.main --config vicreg/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod.
    """
    config = base_config("vicreg")
    imagenet.barlow_twins(config)
    return config
