"""MoCo v3 on ImageNet."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config(variant: Literal["", "vit_small", "vit_base"] = "") -> ConfigDict:
    """The authors' settings for ResNet-50, 100 epochs, or for a ViT, 300; batch 4096.

        python -m ssljax.main --config moco_v3/imagenet --workdir DIR
        python -m ssljax.main --config moco_v3/imagenet:vit_small --workdir DIR
        python -m ssljax.main --config moco_v3/imagenet:vit_base --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod.

    Args:
      variant: "" for ResNet-50; "vit_small" or "vit_base".
    """
    config = base_config("moco_v3")
    imagenet.pretraining(config, batch_size=4096, epochs=100.0, eval_every=15600, save_every=3120)
    config.model.encoder.update(
        name="resnet50", stem="imagenet", zero_init_residual=True, dtype="bfloat16"
    )
    config.optimizer.update(
        name="lars",
        learning_rate=0.6,
        scaling="linear",
        warmup_epochs=10.0,
        weight_decay=1e-6,
        classic_momentum=False,
    )
    if variant:
        config.epochs = 300.0
        config.method.update(temperature=0.2, projector_layers=3, predictor_last_bn=True)
        for view in (config.method.view1, config.method.view2):
            view.crop_scale = (0.08, 1.0)
        config.model.encoder.update(
            name=variant,
            patch_size=16,
            heads=12,
            positions="sincos",
            initializer="xavier",
            freeze_patch_embedding=True,
        )
        config.optimizer.update(
            name="adamw",
            learning_rate=1.5e-4,
            warmup_epochs=40.0,
            weight_decay=0.1,
            exclude=("patch_embedding",),  # Without gradient it is frozen if nothing decays it.
        )
    return config
