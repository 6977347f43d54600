"""DINO on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The authors' plain setting: ViT-S/16, batch 512, AdamW, 100 epochs, 2x224 + 8x96 pixels.

        python -m ssljax.main --config dino/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and several accelerators. The authors
    report 69.3 % top-1 for kNN and 73.8 % for a linear classifier; this config has not been run to
    its end. For 76 % they train for 300 epochs at batch 1024, with
    `--config.method.teacher_temperature=0.07 --config.method.teacher_warmup_epochs=30.0` and a last
    layer whose gain is learnt, which is not offered here.
    """
    config = base_config("dino")
    imagenet.pretraining(config, batch_size=512, epochs=100.0, eval_every=25020, save_every=2502)
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
