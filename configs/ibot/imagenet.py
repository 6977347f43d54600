"""iBOT on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The authors' setting for ViT-S/16: batch 1024, AdamW, 800 epochs, 2x224 + 10x96 pixels.

        python -m ssljax.main --config ibot/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and several accelerators. The authors
    report 75.2 % top-1 for kNN and 77.9 % for a linear classifier, with a last layer whose gain is
    learnt, which is not offered here; this config has not been run to its end.
    """
    config = base_config("ibot")
    imagenet.pretraining(config, batch_size=1024, epochs=800.0, eval_every=62500, save_every=6250)
    config.model.encoder.update(name="vit_small", patch_size=16, drop_path=0.1, dtype="bfloat16")
    config.optimizer.update(
        name="adamw",
        learning_rate=5e-4,
        scaling="linear",
        warmup_epochs=10.0,
        end_value=1e-6,
        weight_decay=0.04,
    )
    return config
