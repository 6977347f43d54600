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
    imagenet.colorization(config)
    config.model.encoder.update(name="colorization_vgg", dtype="bfloat16")
    config.evals.stages = tuple(f"stage{number}" for number in range(1, 8))
    return config
