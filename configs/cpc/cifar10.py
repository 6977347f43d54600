"""CPC v2 on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """CPC v2 on patches of 8 pixels with a ResNet-18, or with a thin network for a CPU.

        python -m ssljax.main --config cpc/cifar10 --workdir DIR
        python -m ssljax.main --config cpc/cifar10:cpu --workdir DIR

    The paper has no CIFAR-10. The grid of 7x7 patches that overlap by half is that of the port in
    lightning-bolts; the network, the optimizer and the length are our choice. The thin network sees
    patches in all of their colours: of patches that have lost two of three it learns nothing that
    tells whole images apart better than a random network does.

    Args:
      variant: "" for accelerators; "cpu" for a thin network, a grid of 5x5 and minutes on two
        cores.
    """
    config = base_config("cpc")
    config.batch_size = 256
    config.epochs = 200.0
    cifar10.data(config)
    config.method.update(patch_size=8, patch_stride=4)
    config.method.view.update(
        size=32,
        crop_scale=None,
        crop_padding=4,
        mean=presets.CIFAR10_MEAN,
        std=presets.CIFAR10_STD,
    )
    config.model.encoder.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="adamw",
        learning_rate=4e-4,
        schedule="cosine",
        warmup_epochs=5.0,
        weight_decay=1e-5,
        clip_norm=1.0,
    )
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.update(
            patch_size=8,
            patch_stride=6,
            skip_rows=1,
            predict_rows=1,
            directions=1,
            context_blocks=2,
            context_width=64,
            target_dim=32,
            operations=0,
            shear_p=0.0,
            jitter_p=0.0,
            color_drop_p=0.0,
        )
    return config
