"""SwAV on ImageNet."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config(variant: Literal["", "2x224", "batch256"] = "") -> ConfigDict:
    """The authors' settings for ResNet-50.

        python -m ssljax.main --config swav/imagenet --workdir DIR
        python -m ssljax.main --config swav/imagenet:batch256 --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod. The paper
    reports 75.3 % top-1 for a linear classifier after 800 epochs; this config has not been run to
    its end. It differs from the authors' in that the warm-up starts at 0, not at 0.3, and that
    batch statistics are over the whole batch, not over groups of 512 images.

    Args:
      variant: "" for batch 4096, 800 epochs and 2x224 + 6x96 pixels; "2x224" for two large crops
        alone and 400 epochs; "batch256" for batch 256 with a queue and 400 epochs.
    """
    config = base_config("swav")
    imagenet.swav(config)
    if variant == "2x224":
        config.epochs = 400.0
        config.method.local_crops = 0
        config.method.view.crop_scale = (0.08, 1.0)
    if variant == "batch256":
        config.batch_size = 256
        config.epochs = 400.0
        config.method.queue_size = 3840
        config.optimizer.update(learning_rate=0.6, warmup_epochs=0.0, end_value=0.0006)
        config.evals.knn.every = 500400
        config.checkpoint.every = 5004
    return config
