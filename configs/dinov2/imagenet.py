"""DINOv2 on ImageNet."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.optimizers import NORMS_AND_BIASES
from ssljax.recipes import imagenet


def get_config(variant: Literal["", "vit_small", "vit_base"] = "") -> ConfigDict:
    """The authors' short run on ImageNet alone: ViT-L/16, batch 2048, AdamW, 125,000 steps.

        python -m ssljax.main --config dinov2/imagenet --workdir DIR
        python -m ssljax.main --config dinov2/imagenet:vit_small --workdir DIR
        python -m ssljax.main --config dinov2/imagenet:vit_base --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod. The authors
    report 81.6 % top-1 for kNN and 82.9 % for a linear classifier, with rates that differ by layer.
    Their short run has one head for class token and patches, and centres; heads of their own and
    Sinkhorn's codes are those of the paper's long run. This config has not been run to its end.

    The authors distil their ViT-S and ViT-B from a larger network and publish no run of either from
    scratch: the variants have the keys of the short run, `student.arch` of its YAML apart.

    Args:
      variant: "" for ViT-L; "vit_small" or "vit_base".
    """
    config = base_config("dinov2")
    imagenet.pretraining(config, batch_size=2048, epochs=0.0, eval_every=12500, save_every=2500)
    config.steps = 125_000
    config.method.update(
        momentum=0.992,
        # An epoch of theirs has 1250 steps, twice an epoch of ImageNet's in batches of 2048.
        teacher_warmup_epochs=60.0,
        freeze_last_layer_epochs=2.0,
        weight_decay_end=0.4,
        out_dim=65536,
        patch_out_dim=65536,
        bottleneck_dim=256,
    )
    config.method.local_view.size = 96
    config.model.encoder.update(
        name=variant or "vit_large",
        patch_size=16,
        layer_scale=1e-5,
        drop_path=0.3,
        drop_path_uniform=True,
        dtype="bfloat16",
    )
    config.optimizer.update(
        name="adamw",
        learning_rate=1.25e-4,  # 4e-3 at a batch of 1024.
        scaling="sqrt",
        warmup_steps=12_500,
        end_value=1e-6,
        weight_decay=0.04,
        exclude=(NORMS_AND_BIASES, "layer_scale"),
    )
    return config
