"""ImageNet: 1.28 million photographs to train on, in a thousand classes."""

from __future__ import annotations

from ml_collections import ConfigDict


def data(config: ConfigDict, name: str = "imagenet2012") -> None:
    """Has the host cut crops from whole photographs, as the authors of all these methods do.

    Evaluations see the centre square, resized to 256 pixels.

    Args:
      config: What `base_config` made of a method whose views are random resized crops.
      name: The TFDS name of the set, or of a part of it.
    """
    config.data.update(name=name, image_size=256, crop="host")


def pretraining(
    config: ConfigDict, *, batch_size: int, epochs: float, eval_every: int, save_every: int
) -> None:
    """Sets the data, the length and what is evaluated of a run on ImageNet.

    Args:
      config: What `base_config` made.
      batch_size: Images of a batch.
      epochs: Length of the run.
      eval_every: Train steps between evaluations.
      save_every: Train steps between checkpoints.
    """
    config.batch_size = batch_size
    config.epochs = epochs
    data(config)
    config.evals.update(test_split="validation", baselines=False)
    config.evals.knn.every = eval_every
    config.evals.few_label.labels = (0.01, 0.1)
    config.checkpoint.every = save_every


def swav(config: ConfigDict) -> None:
    """Sets ResNet-50 and LARC on ImageNet as SwAV and DeepCluster-v2 have them.

    Args:
      config: What `base_config` made.
    """
    pretraining(config, batch_size=4096, epochs=800.0, eval_every=31200, save_every=3120)
    config.model.encoder.update(name="resnet50", stem="imagenet", dtype="bfloat16")
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


def barlow_twins(config: ConfigDict) -> None:
    """Sets ResNet-50 and LARS on ImageNet as Barlow Twins and VICReg have them.

    Args:
      config: What `base_config` made.
    """
    pretraining(config, batch_size=2048, epochs=1000.0, eval_every=62550, save_every=6255)
    config.model.encoder.update(
        name="resnet50", stem="imagenet", zero_init_residual=True, dtype="bfloat16"
    )
    config.optimizer.update(
        name="lars",
        learning_rate=0.2,
        scaling="linear",
        warmup_epochs=10.0,
        end_value=0.0016,  # A thousandth of the highest.
        weight_decay=1e-6,
        classic_momentum=False,
    )


def colorization(config: ConfigDict) -> None:
    """Sets Adam and the length of the run on ImageNet as colorization has them.

    Images are resized and cut to squares of 256 pixels. The weight decay is in Adam's gradient.

    Args:
      config: What `base_config` made.
    """
    pretraining(config, batch_size=40, epochs=0.0, eval_every=75_000, save_every=5000)
    config.steps = 450_000
    config.data.crop = "device"
    config.optimizer.update(
        name="adam",
        learning_rate=3e-5,
        b1=0.9,
        b2=0.99,
        schedule="step",
        step_fractions=(0.5,),
        step_factor=0.1,
        weight_decay=1e-3,
        exclude=(),
    )
