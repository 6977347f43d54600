"""DCL on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """ResNet-50, batch 256, 200 epochs as in the paper; LARS as in lightly's reproduction.

        python -m ssljax.main --config dcl/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and several accelerators.
    """
    config = base_config("dcl")
    imagenet.pretraining(config, batch_size=256, epochs=200.0, eval_every=25020, save_every=5004)
    config.model.encoder.update(name="resnet50", stem="imagenet", dtype="bfloat16")
    config.optimizer.update(
        name="lars",
        learning_rate=0.075,
        scaling="sqrt",
        warmup_epochs=10.0,
        weight_decay=1e-6,
        classic_momentum=False,
    )
    return config
