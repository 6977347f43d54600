"""SimSiam on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config import base_config


def get_config() -> ConfigDict:
    """The paper's setting: ResNet-50, batch 512, SGD, 100 epochs.

        python -m ssljax.main --config configs/simsiam/imagenet.py --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and several accelerators.
    """
    config = base_config("simsiam")
    config.batch_size = 512
    config.epochs = 100.0
    config.data.name = "imagenet2012"
    config.data.image_size = 256  # Crops of 224 pixels are taken from this on the device.
    config.model.update(name="resnet50", stem="imagenet", zero_init_residual=True, dtype="bfloat16")
    config.optimizer.update(
        name="sgd", learning_rate=0.05, scaling="linear", weight_decay=1e-4, exclude=()
    )
    config.evals.update(
        every=25020, test_split="validation", baselines=False, few_label=(0.01, 0.1)
    )
    config.checkpoint.every = 2502
    return config
