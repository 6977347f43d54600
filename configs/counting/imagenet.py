"""Learning to count on ImageNet."""

import dataclasses

from ml_collections import ConfigDict

from ssljax.augment import ViewPolicy, presets
from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """AlexNet without norms on ImageNet.

        python -m ssljax.main --config counting/imagenet --workdir DIR

    A batch of 256 images has 128 pairs. Images have 256 pixels and tiles 128, where the paper has
    228 and 114; they are cut at random from the centre square of one whose shorter side has 292,
    without resizing, which would leave traces of another filter. The learning rate falls linearly
    over the whole run, there over the last 100 epochs.

    Reference:
      ahmdtaha/tf_learning_to_count, which comes near the paper's scores; the paper's own code is
      not public.
    """
    config = base_config("counting")
    imagenet.pretraining(config, batch_size=256, epochs=250.0, eval_every=50040, save_every=5004)
    config.data.update(crop="device", image_size=292)
    area = (256 / 292) ** 2
    view = ViewPolicy(
        256,
        crop_scale=(area, area),
        crop_ratio=(1.0, 1.0),
        mean=presets.IMAGENET_MEAN,
        std=presets.IMAGENET_STD,
    )
    config.method.view.update(dataclasses.asdict(view))
    config.model.encoder.update(name="alexnet", widths=(96, 256, 384, 384, 256), dtype="bfloat16")
    with config.model.encoder.unlocked():
        config.model.encoder.fc_widths = (4096, 4096)
    config.optimizer.update(name="adam", learning_rate=1e-4, schedule="linear")
    config.evals.stages = ("conv1", "conv2", "conv3", "conv4", "conv5")
    return config
