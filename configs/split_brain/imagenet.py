"""Split-brain autoencoder on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """AlexNet in two halves, with the paper's classes at 12x12 places.

        python -m ssljax.main --config split_brain/imagenet --workdir DIR

    The paper's fully connected layers, which it turns into convolutions, are here the two 3x3
    convolutions of each head. Images are resized and cut to squares of 256 pixels, and random
    squares of 207 are seen, of which AlexNet makes 12x12 places. The length of the run and its
    optimizer are those of colorization.
    """
    config = base_config("split_brain")
    imagenet.colorization(config)
    config.model.encoder.update(name="alexnet", widths=(96, 256, 384, 384, 256), dtype="bfloat16")
    config.evals.stages = tuple(f"conv{number}" for number in range(1, 6))
    return config
