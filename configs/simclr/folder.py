"""SimCLR on a directory of images."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """ResNet-18 on any directory of images, with labels (one sub-folder a class) or without.

        python -m ssljax.main --config simclr/folder --workdir DIR \
            --config.data.dir=IMAGES

    Nothing is evaluated unless asked for: with labelled folders IMAGES/train and IMAGES/test add
    `--config.evals.final="('knn','linear')"`. On a CPU add `--config.model.encoder.name=small`.
    """
    config = base_config("simclr")
    config.batch_size = 256
    config.epochs = 200.0
    config.data.name = "folder"
    config.data.image_size = 144
    config.data.max_corrupt = 100
    config.method.temperature = 0.1
    config.method.view.size = 128
    config.model.encoder.update(name="resnet18", stem="imagenet")
    config.optimizer.update(
        name="lars", learning_rate=0.3, scaling="linear", warmup_epochs=10.0, weight_decay=1e-6
    )
    config.evals.update(final=())
    return config
