"""LeJEPA on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """ViT-L/14 by the authors' recommended settings: AdamW, 100 epochs, 2x224 + 6x98 pixels.

        python -m ssljax.main --config lejepa/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and several accelerators. The batch of
    512 and the ten epochs of warm-up are not in the authors' README, but chosen here; this config
    has not been run to its end.
    """
    config = base_config("lejepa")
    imagenet.pretraining(config, batch_size=512, epochs=100.0, eval_every=25020, save_every=2502)
    config.model.encoder.update(name="vit_large", patch_size=14, drop_path=0.1, dtype="bfloat16")
    config.optimizer.update(
        name="adamw",
        learning_rate=5e-4,
        warmup_epochs=10.0,
        end_value=5e-7,
        weight_decay=0.05,
    )
    return config
