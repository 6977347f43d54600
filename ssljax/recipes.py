"""Parts of a config that many methods share: one data set, one network, one budget."""

from __future__ import annotations

from ml_collections import ConfigDict

from ssljax.augment import presets


def fashion_mnist_cpu(config: ConfigDict) -> None:
    """Sets a deep and thin network on Fashion-MNIST, for minutes on two CPU cores.

    Args:
      config: What `base_config` made; every view of the method is set, its other keys are not.
    """
    config.batch_size = 128
    config.epochs = 1.5
    config.data.update(name="fashion_mnist", image_size=28, channels=1, cache="device")
    config.model.update(name="small", widths=(8, 16, 32), convs_per_stage=5)
    config.optimizer.update(
        name="adamw", learning_rate=2e-3, warmup_epochs=0.1, weight_decay=1e-4, clip_norm=1.0
    )
    for key, view in config.method.items():
        if key.startswith("view"):
            view.update(
                size=28,
                crop_scale=(0.3, 1.0),
                interpolation="bilinear",
                brightness=0.4,
                contrast=0.4,
                saturation=0.0,
                hue=0.0,
                gray_p=0.0,
                blur_p=0.0,
                solarize_p=0.0,
                mean=(0.286,),
                std=(0.353,),
            )


def cifar10(config: ConfigDict, learning_rate: float = 0.12, weight_decay: float = 5e-4) -> None:
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
    config.data.update(name="cifar10", image_size=32, cache="device")
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
    config.model.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd",
        learning_rate=learning_rate,
        scaling="linear",
        weight_decay=weight_decay,
        exclude=(),
    )
    config.evals.every = 19500


def imagenet(
    config: ConfigDict, *, batch_size: int, epochs: float, eval_every: int, save_every: int
) -> None:
    """Sets the data, the length and what is evaluated of a run on ImageNet.

    The host cuts crops from whole photographs, as the authors of all these methods do; evaluations
    see the centre square, resized to 256 pixels.

    Args:
      config: What `base_config` made of a method whose views are random resized crops.
      batch_size: Images of a batch.
      epochs: Length of the run.
      eval_every: Train steps between evaluations.
      save_every: Train steps between checkpoints.
    """
    config.batch_size = batch_size
    config.epochs = epochs
    config.data.update(name="imagenet2012", image_size=256, crop="host")
    config.evals.update(
        every=eval_every, test_split="validation", baselines=False, few_label=(0.01, 0.1)
    )
    config.checkpoint.every = save_every


def imagenet_swav(config: ConfigDict) -> None:
    """Sets ResNet-50 and LARC on ImageNet as SwAV has them, and DeepCluster-v2 beside it.

    Args:
      config: What `base_config` made.
    """
    imagenet(config, batch_size=4096, epochs=800.0, eval_every=31200, save_every=3120)
    config.model.update(name="resnet50", stem="imagenet", dtype="bfloat16")
    config.optimizer.update(  # LARC without clipping.
        name="lars",
        learning_rate=0.3,
        scaling="linear",
        warmup_epochs=10.0,
        end_value=0.0048,
        classic_momentum=False,
        trust_coefficient=0.001,
        weight_decay=1e-6,
        exclude=(),
    )


def imagenet_barlow_twins(config: ConfigDict) -> None:
    """Sets ResNet-50 and LARS on ImageNet as Barlow Twins has them, and VICReg after it.

    Args:
      config: What `base_config` made.
    """
    imagenet(config, batch_size=2048, epochs=1000.0, eval_every=62550, save_every=6255)
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


def fashion_mnist_gan_cpu(config: ConfigDict) -> None:
    """Sets two thin networks on Fashion-MNIST, for minutes on two CPU cores.

    Args:
      config: What `base_config` made of an adversarial method.
    """
    config.batch_size = 64
    config.steps = 1000
    config.data.update(name="fashion_mnist", image_size=28, channels=1, cache="device")
    config.method.update(latent_dim=64, ema_decay=0.99)
    config.method.generator.width = 0.25
    config.method.discriminator.width = 0.25
    config.optimizer.update(
        name="adam", learning_rate=5e-4, schedule="constant", b1=0.5, b2=0.999, exclude=()
    )
    config.evals.stage = "block2"  # Its "features" are the activations of all places.
