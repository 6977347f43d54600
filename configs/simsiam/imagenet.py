"""SimSiam on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The paper's setting: ResNet-50, batch 512, SGD, 100 epochs.

        python -m ssljax.main --config simsiam/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and several accelerators.
    """
    config = base_config("simsiam")
    imagenet.pretraining(config, batch_size=512, epochs=100.0, eval_every=25020, save_every=2502)
    config.model.encoder.update(
        name="resnet50", stem="imagenet", zero_init_residual=True, dtype="bfloat16"
    )
    config.optimizer.update(
        name="sgd", learning_rate=0.05, scaling="linear", weight_decay=1e-4, exclude=()
    )
    return config
