"""Fashion-MNIST: 60,000 grey images of 28 pixels to train on, in ten classes."""

from __future__ import annotations

from ml_collections import ConfigDict


def data(config: ConfigDict) -> None:
    """Keeps the whole set on the devices.

    Args:
      config: What `base_config` made.
    """
    config.data.update(name="fashion_mnist", image_size=28, channels=1, cache="device")


def encoder_on_cpu(config: ConfigDict) -> None:
    """Sets a deep and thin network on Fashion-MNIST, for minutes on two CPU cores.

    Args:
      config: What `base_config` made; every view of the method is set, its other keys are not.
    """
    config.batch_size = 128
    config.epochs = 1.5
    data(config)
    config.model.encoder.update(name="small", widths=(8, 16, 32), convs_per_stage=5)
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


def gan_on_cpu(config: ConfigDict) -> None:
    """Sets two thin networks on Fashion-MNIST, for minutes on two CPU cores.

    Args:
      config: What `base_config` made of an adversarial method.
    """
    config.batch_size = 64
    config.steps = 1000
    data(config)
    config.method.update(latent_dim=64, ema_decay=0.99)
    config.model.generator.width = 0.25
    config.model.discriminator.width = 0.25
    config.optimizer.update(
        name="adam", learning_rate=5e-4, schedule="constant", b1=0.5, b2=0.999, exclude=()
    )
    config.evals.stages = ("block2",)  # Its "features" are the activations of all places.


def inference_on_cpu(config: ConfigDict) -> None:
    """Sets thin networks on Fashion-MNIST for a generator and its inverse, for minutes on a CPU.

    The encoder is that of `encoder_on_cpu`.

    Args:
      config: What `base_config` made of an adversarial method with an encoder.
    """
    data(config)
    config.method.view.update(
        size=28, crop_scale=None, flip_p=0.0, interpolation="bilinear", mean=(0.5,), std=(0.5,)
    )
    config.model.encoder.update(name="small", widths=(8, 16, 32), convs_per_stage=5)
    config.optimizer.update(name="adam", b2=0.999, exclude=())
