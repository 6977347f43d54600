"""Colorization on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The authors' training of their second network.

        python -m ssljax.main --config colorization/imagenet --workdir DIR

    Images are resized and cut to squares of 256 pixels, and random squares of 176 are seen. Adam
    has the weight decay in its gradient. The authors begin from weights that are set by the
    activations of data, and weigh colours by how often all of ImageNet has them.
    """
    config = base_config("colorization")
    imagenet.pretraining(config, batch_size=40, epochs=0.0, eval_every=75_000, save_every=5000)
    config.steps = 450_000
    config.data.crop = "device"
    config.model.encoder.update(name="colorization_vgg", dtype="bfloat16")
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
    config.evals.stages = tuple(f"stage{number}" for number in range(1, 8))
    return config
