"""Rotation prediction on ImageNet."""

import dataclasses

from ml_collections import ConfigDict

from ssljax.augment import ViewPolicy, presets
from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The authors' training of AlexNet with batch norm on ImageNet.

        python -m ssljax.main --config rotation/imagenet --workdir DIR

    Of 192 images the network sees 768 copies.

    Reference:
      `config/ImageNet_RotNet_AlexNet.py` of gidariss/FeatureLearningRotNet: its table of learning
      rates, which overrides the 0.1 beside it. The paper trains for 30 epochs.
    """
    config = base_config("rotation")
    imagenet.pretraining(config, batch_size=192, epochs=50.0, eval_every=66730, save_every=6673)
    view = ViewPolicy(224, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD)
    config.method.view.update(dataclasses.asdict(view))
    config.model.encoder.update(name="alexnet", dtype="bfloat16")
    with config.model.encoder.unlocked():
        config.model.encoder.fc_widths = (4096, 4096)
    config.optimizer.update(
        name="sgd",
        learning_rate=0.01,
        nesterov=True,
        schedule="step",
        step_epochs=(15.0, 30.0, 45.0),
        step_factor=0.1,
        weight_decay=5e-4,
        exclude=(),
    )
    config.evals.stages = ("conv1", "conv2", "conv3", "conv4", "conv5")
    return config
