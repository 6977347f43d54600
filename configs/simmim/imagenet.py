"""SimMIM on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.optimizers.masks import NORMS_AND_BIASES
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The authors' setting for ViT-B/16: batch 2048, AdamW, 800 epochs.

        python -m ssljax.main --config simmim/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod. The authors
    report 56.7 % top-1 for a linear classifier and 83.8 % after fine-tuning; this config has not
    been run to its end, and its network has no relative position bias.
    """
    config = base_config("simmim")
    imagenet.pretraining(config, batch_size=2048, epochs=800.0, eval_every=62500, save_every=3125)
    config.model.encoder.update(
        name="vit_base",
        patch_size=16,
        layer_scale=0.1,
        drop_path=0.1,
        pool="mean",
        dtype="bfloat16",
    )
    config.optimizer.update(
        name="adamw",
        learning_rate=5e-5,  # Theirs, 1e-4, is for a batch of 512.
        scaling="linear",
        warmup_epochs=10.0,
        schedule="step",
        step_epochs=(700.0,),
        step_factor=0.1,
        weight_decay=0.05,
        clip_norm=5.0,
        exclude=(NORMS_AND_BIASES, "layer_scale", "class_token", "mask_token"),
    )
    return config
