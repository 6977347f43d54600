"""Autoencoding transformations on ImageNet."""

import dataclasses

from ml_collections import ConfigDict

from ssljax.augment import ViewPolicy, presets
from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The authors' training of AlexNet with batch norm on ImageNet, by projective transformations.

        python -m ssljax.main --config relative_transformation/imagenet --workdir DIR

    The authors draw from half a million stored transformations; here each is drawn anew. Their
    crops of 224 pixels lie anywhere in an image whose shorter side has 256, ours in its centre
    square.

    Reference:
      `imagenet/config/ImageNet_Unsupervised.py` and `imagenet/dataloader.py` of
      maple-research-lab/AET.
    """
    config = base_config("relative_transformation")
    imagenet.pretraining(config, batch_size=768, epochs=200.0, eval_every=16680, save_every=1668)
    config.data.crop = "device"
    area = (224 / 256) ** 2
    view = ViewPolicy(
        224,
        crop_scale=(area, area),
        crop_ratio=(1.0, 1.0),
        mean=presets.IMAGENET_MEAN,
        std=presets.IMAGENET_STD,
    )
    config.method.view.update(dataclasses.asdict(view))
    config.method.projective.update(
        mean=(0.0, 0.0, 112.0, 0.0, 0.0, 112.0, 6.4e-5, 6.4e-5),
        std=(0.75, 0.75, 118.0, 0.75, 0.75, 118.0, 7.75e-4, 7.75e-4),
    )
    config.model.encoder.update(name="alexnet", dtype="bfloat16")
    with config.model.encoder.unlocked():
        config.model.encoder.fc_widths = (4096, 4096)
    config.optimizer.update(
        name="sgd",
        learning_rate=0.01,
        nesterov=True,
        schedule="step",
        step_epochs=(100.0, 150.0),
        step_factor=0.1,
        weight_decay=5e-4,
        exclude=(),
    )
    config.evals.stages = ("conv1", "conv2", "conv3", "conv4", "conv5")
    return config
