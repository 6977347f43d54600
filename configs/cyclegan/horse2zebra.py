"""CycleGAN between horses and zebras."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """The authors' settings for images of 256 pixels, one at a time: one device is enough.

        python -m ssljax.main --config cyclegan/horse2zebra --workdir DIR

    200 epochs of the larger set, 1,334 zebras; the rate falls in the second half, step by step
    where the authors have steps of an epoch. TFDS has the set as `cycle_gan/horse2zebra`. The
    authors resize images to 286 pixels by bicubic interpolation. This config has not been run to
    its end.
    """
    config = base_config("cyclegan")
    config.batch_size = 1
    config.steps = 266_800
    config.data.update(name="cycle_gan/horse2zebra", split="trainA", image_size=286, resize="exact")
    config.optimizer.update(
        name="adam", learning_rate=2e-4, b1=0.5, schedule="linear", hold=0.5, exclude=()
    )
    config.evals.update(final=("translation",), batch_size=32)
    config.checkpoint.every = 5000
    return config
