"""I-JEPA on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The authors' setting for ViT-H/14: batch 2048, AdamW, 300 epochs.

        python -m ssljax.main --config ijepa/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod. The authors
    report 79.3 % top-1 for a linear classifier; this config has not been run to its end.
    """
    config = base_config("ijepa")
    imagenet.pretraining(config, batch_size=2048, epochs=300.0, eval_every=62500, save_every=3125)
    config.model.encoder.update(name="vit_huge", patch_size=14, class_token=False, dtype="bfloat16")
    config.optimizer.update(
        name="adamw",
        learning_rate=1e-3,
        warmup_epochs=40.0,
        end_value=1e-6,
        weight_decay=0.04,
    )
    return config
