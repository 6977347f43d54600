"""DeepCluster-v2 on ImageNet."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config(variant: Literal["", "2x224"] = "") -> ConfigDict:
    """The authors' settings for ResNet-50.

        python -m ssljax.main --config deepcluster_v2/imagenet --workdir DIR
        python -m ssljax.main --config deepcluster_v2/imagenet:2x224 --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod. The authors
    report 75.2 % top-1 for a linear classifier after 800 epochs, 70.2 % with two large crops and
    400; this config has not been run to its end. The epoch that fills the memory is counted: there
    is one more, and the warm-up is of 11 epochs, so that the learning rate is 0.44 as the network
    begins to move, where the authors have 0.3. Batch statistics are over the whole batch.

    Args:
      variant: "" for 800 epochs and 2x224 + 6x96 pixels; "2x224" for two large crops alone and 400
        epochs.
    """
    config = base_config("deepcluster_v2")
    imagenet.swav(config)
    config.epochs = 801.0
    config.optimizer.warmup_epochs = 11.0
    if variant == "2x224":
        config.epochs = 401.0
        config.method.local_crops = 0
        config.method.view.crop_scale = (0.08, 1.0)
    return config
