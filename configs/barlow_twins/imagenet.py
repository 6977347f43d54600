"""Barlow Twins on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config import base_config


def get_config() -> ConfigDict:
    """The authors' setting: ResNet-50, batch 2048, LARS, 1000 epochs.

        python -m ssljax.main --config configs/barlow_twins/imagenet.py --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod.
    """
    config = base_config("barlow_twins")
    config.batch_size = 2048
    config.epochs = 1000.0
    config.data.name = "imagenet2012"
    config.data.image_size = 256  # Crops of 224 pixels are taken from this on the device.
    config.model.update(name="resnet50", stem="imagenet", zero_init_residual=True, dtype="bfloat16")
    config.optimizer.update(
        name="lars",
        learning_rate=0.2,
        scaling="linear",
        warmup_epochs=10.0,
        end_value=0.0016,  # A thousandth of the highest.
        weight_decay=1e-6,
        classic_momentum=False,
    )
    config.evals.update(
        every=62550, test_split="validation", baselines=False, few_label=(0.01, 0.1)
    )
    config.checkpoint.every = 6255
    return config
