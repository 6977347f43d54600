"""SimCLR on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config import base_config


def get_config() -> ConfigDict:
    """The paper's setting: ResNet-50, batch 4096, LARS, 1000 epochs.

        python -m ssljax.main --config configs/simclr/imagenet.py --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator pod. The paper
    reports 69.1 % top-1 for a linear classifier; this config has not been run to its end. For the
    head of SimCLR v2 add `--config.method.projector_layers=3`.
    """
    config = base_config("simclr")
    config.batch_size = 4096
    config.epochs = 1000.0
    config.data.name = "imagenet2012"
    config.data.image_size = 256  # Crops of 224 pixels are taken from this on the device.
    config.method.temperature = 0.1
    config.model.update(name="resnet50", stem="imagenet", zero_init_residual=True, dtype="bfloat16")
    config.optimizer.update(
        name="lars",
        learning_rate=0.3,
        scaling="linear",
        warmup_epochs=10.0,
        weight_decay=1e-6,
    )
    config.evals.update(
        every=31200, test_split="validation", baselines=False, few_label=(0.01, 0.1)
    )
    config.checkpoint.every = 3120
    return config
