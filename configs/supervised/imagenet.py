"""Supervised learning on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """ResNet-50 as PyTorch's example for ImageNet trains it: 90 epochs in batches of 256.

        python -m ssljax.main --config supervised/imagenet --workdir DIR

    The learning rate is a tenth from epoch 30 on, and a hundredth from epoch 60. This config
    has not been run to its end.
    """
    config = base_config("supervised")
    config.batch_size = 256
    config.epochs = 90.0
    imagenet.data(config)
    config.model.encoder.update(name="resnet50", stem="imagenet", dtype="bfloat16")
    config.optimizer.update(
        name="sgd",
        learning_rate=0.1,
        scaling="linear",
        schedule="step",
        step_epochs=(30.0, 60.0),
        step_factor=0.1,
        weight_decay=1e-4,
        exclude=(),
    )
    config.evals.update(final=("classifier",), test_split="validation", baselines=False)
    return config
