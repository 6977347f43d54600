"""CIFAR-10: 50,000 colour images of 32 pixels to train on, in ten classes."""

from __future__ import annotations

from ml_collections import ConfigDict

from ssljax.augment import presets


def data(config: ConfigDict) -> None:
    """Keeps the whole set on the devices.

    Args:
      config: What `base_config` made.
    """
    config.data.update(name="cifar10", image_size=32, cache="device")


def encoder(config: ConfigDict, *, learning_rate: float = 0.12, weight_decay: float = 5e-4) -> None:
    """Sets ResNet-18 on CIFAR-10 with SGD, as lightly's benchmark of 2022 has it.

    That is batch 128 and 200 epochs. For the column of 800 epochs add `--config.batch_size=512
    --config.epochs=800`; the learning rate follows the batch. The views are SimCLR's at half the
    strength, without blur and normalised by ImageNet's statistics, for every method alike.

    Args:
      config: What `base_config` made; every view of the method is set, its other keys are not.
      learning_rate: For a batch of 256 images.
      weight_decay: Of all parameters.
    """
    config.batch_size = 128
    config.epochs = 200.0
    data(config)
    for key, view in config.method.items():
        if key.startswith("view"):
            view.update(
                size=32,
                crop_scale=(0.08, 1.0),
                interpolation="bilinear",
                brightness=0.4,
                contrast=0.4,
                saturation=0.4,
                hue=0.1,
                brightness_mode="multiplicative",
                contrast_mode="torchvision",
                blur_p=0.0,
                solarize_p=0.0,
                mean=presets.IMAGENET_MEAN,
                std=presets.IMAGENET_STD,
            )
    config.model.encoder.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd",
        learning_rate=learning_rate,
        scaling="linear",
        weight_decay=weight_decay,
        exclude=(),
    )
    config.evals.knn.every = 19500


def pretext(config: ConfigDict) -> None:
    """Sets ResNet-18 on CIFAR-10 for the tasks whose papers have no CIFAR-10, and its length.

    Args:
      config: What `base_config` made of a method with an encoder.
    """
    config.batch_size = 128
    config.epochs = 200.0
    data(config)
    config.model.encoder.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")


def pretext_on_cpu(config: ConfigDict) -> None:
    """Sets a thin network on CIFAR-10, for minutes on two CPU cores; all pretext tasks share it.

    Args:
      config: What `base_config` made of a method with an encoder.
    """
    config.batch_size = 128
    config.steps = 600
    data(config)
    config.model.encoder.update(name="small", widths=(16, 32, 64), convs_per_stage=2)
    config.optimizer.update(
        name="adamw",
        learning_rate=2e-3,
        scaling="none",
        schedule="cosine",
        warmup_epochs=0.25,
        weight_decay=1e-4,
        clip_norm=1.0,
    )
    config.evals.stages = ("stage1", "stage2", "stage3")
    # As long as the training would all probes of all images take.
    config.evals.train_split = "train[:20%]"
    config.evals.knn.neighbors = ((20, 0.07),)
    config.evals.linear.epochs = 10
    config.evals.few_label.labels = (10.0,)
