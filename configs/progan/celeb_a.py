"""ProGAN on CelebA, of 128 pixels."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """The networks by which the paper compares its parts: 10 million images of up to 128 pixels.

    The numbers are those of the authors' Theano branch, in which D averages after the LeakyReLU,
    and here before it.

        python -m ssljax.main --config progan/celeb_a --workdir DIR

    The data set is TFDS's `celeb_a`, the aligned faces, of which the middle is taken: a square of
    178 pixels, where the authors cut one of 128. It has no classes that a probe could name. This
    config has not been run to its end.
    """
    config = base_config("progan")
    config.batch_size = 16
    config.steps = 625_000
    config.data.update(name="celeb_a", image_size=128)
    config.method.update(stable_kimg=800.0, fade_kimg=800.0, flip=True)
    for network in config.model.values():
        network.fmap_base = 2048
    config.model.discriminator.group_size = 16  # The whole batch.
    config.optimizer.update(
        name="adam", learning_rate=1e-3, schedule="constant", b1=0.0, b2=0.99, exclude=()
    )
    config.evals.final = ("pictures",)
    config.evals.pictures.every = 25_000
    config.checkpoint.every = 5000
    return config
