"""Motion segmentation of a folder of frames."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """AlexNet on frames of videos with masks of what moves, or a thin network for a CPU.

        python -m ssljax.tools.motion_masks VIDEOS --out MASKS
        python -m ssljax.main --config motion_segmentation/frames --workdir DIR \
            --config.data.dir=MASKS
        python -m ssljax.main --config motion_segmentation/frames:cpu --workdir DIR \
            --config.data.dir=MASKS

    MASKS has folders `train` and `test` with `images` and `masks` in each. The network, views of
    227 pixels and 56x56 places are the paper's; optimizer, batch, length and crops are those of
    AlexNet here with other tasks, for we do not know the authors'. They learn from 1.6 million
    frames, and this config has not been run to its end; benchmarks/RESULTS.md has scores of the
    thin network.

    Args:
      variant: "" for 50 epochs on accelerators; "cpu" for a thin network on squares of 64 pixels
        and minutes on two cores, which tells 16x16 places by convolutions.
    """
    config = base_config("motion_segmentation")
    config.batch_size = 256
    config.epochs = 50.0
    config.data.update(name="folder", image_size=256, mask_classes=2, max_corrupt=100)
    config.model.encoder.update(name="alexnet", dtype="bfloat16")
    with config.model.encoder.unlocked():
        config.model.encoder.fc_widths = (4096, 4096)
    config.optimizer.update(
        name="sgd",
        learning_rate=0.01,
        nesterov=True,
        schedule="step",
        step_fractions=(0.3, 0.6, 0.9),
        step_factor=0.1,
        weight_decay=5e-4,
        exclude=(),
    )
    config.evals.update(final=("pretext", "knn"), test_split="test", baselines=True)
    config.evals.stages = ("conv1", "conv2", "conv3", "conv4", "conv5")
    if variant == "cpu":
        config.batch_size = 64
        config.steps = 600
        config.data.update(image_size=96, cache="device")
        config.method.update(places=16, head_dim=32)
        config.method.view.update(size=64, crop_scale=(0.4, 1.0))
        config.model.encoder.update(name="small", widths=(16, 32, 64), convs_per_stage=2)
        with config.model.encoder.unlocked():
            del config.model.encoder.fc_widths
        config.model.encoder.dtype = "float32"
        config.optimizer.update(
            name="adamw",
            learning_rate=2e-3,
            nesterov=False,
            schedule="cosine",
            warmup_steps=30,
            weight_decay=1e-4,
            clip_norm=1.0,
        )
        config.evals.stages = ("stage1", "stage2", "stage3")
    return config
