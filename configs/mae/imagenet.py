"""The masked autoencoder on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The paper's setting for ViT-B/16: batch 4096, AdamW, 1600 epochs.

        python -m ssljax.main --config mae/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod. The paper
    reports 68.0 % top-1 for a linear classifier and 83.6 % after fine-tuning; this config has not
    been run to its end.
    """
    config = base_config("mae")
    imagenet.pretraining(config, batch_size=4096, epochs=1600.0, eval_every=62400, save_every=3120)
    config.model.encoder.update(name="vit_base", patch_size=16, dtype="bfloat16")
    config.optimizer.update(
        name="adamw",
        learning_rate=1.5e-4,
        scaling="linear",
        warmup_epochs=40.0,
        weight_decay=0.05,
        b2=0.95,
    )
    return config
