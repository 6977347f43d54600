"""NNCLR on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The paper's setting: ResNet-50, batch 4096, LARS, 1000 epochs.

        python -m ssljax.main --config nnclr/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod.
    """
    config = base_config("nnclr")
    imagenet.pretraining(config, batch_size=4096, epochs=1000.0, eval_every=31200, save_every=3120)
    config.model.encoder.update(name="resnet50", stem="imagenet", dtype="bfloat16")
    config.optimizer.update(
        name="lars",
        learning_rate=0.3,
        scaling="linear",
        warmup_epochs=10.0,
        weight_decay=1e-6,
    )
    return config
