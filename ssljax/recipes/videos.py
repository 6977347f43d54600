"""Folders of frames or of tracks: what methods that learn from them have in common."""

from __future__ import annotations

from ml_collections import ConfigDict


def alexnet(config: ConfigDict) -> None:
    """Sets AlexNet and the SGD of Caffe's networks on frames of videos.

    Args:
      config: What `base_config` made.
    """
    config.model.encoder.update(name="alexnet", widths=(96, 256, 384, 384, 256), dtype="bfloat16")
    config.optimizer.update(
        name="sgd",
        learning_rate=1e-3,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="step",
        step_factor=0.1,
    )
    config.evals.stages = ("conv1", "conv2", "conv3", "conv4", "conv5")
    config.evals.baselines = False


def on_cpu(config: ConfigDict) -> None:
    """Sets a thin network, for minutes on one CPU core.

    Args:
      config: What `base_config` made.
    """
    config.model.encoder.update(name="small", widths=(16, 32, 64), convs_per_stage=1)
    config.optimizer.update(
        name="adamw",
        learning_rate=2e-3,
        schedule="cosine",
        warmup_steps=30,
        weight_decay=1e-4,
        clip_norm=1.0,
    )
    config.evals.update(final=("knn", "linear", "pretext"), stages=("stage1", "stage2", "stage3"))
    config.evals.knn.neighbors = ((20, 0.07),)
    config.evals.linear.epochs = 10
