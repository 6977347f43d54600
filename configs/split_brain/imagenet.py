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
    imagenet.pretraining(config, batch_size=40, epochs=0.0, eval_every=75_000, save_every=5000)
    config.steps = 450_000
    config.data.crop = "device"
    config.model.encoder.update(name="alexnet", widths=(96, 256, 384, 384, 256), dtype="bfloat16")
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
    config.evals.stages = tuple(f"conv{number}" for number in range(1, 6))
    return config
