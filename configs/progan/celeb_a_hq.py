"""ProGAN on CelebA-HQ, of 1024 pixels."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """The authors' settings for eight GPUs: 12 million images of up to 1024 pixels.

        python -m ssljax.main --config progan/celeb_a_hq --workdir DIR

    The data set is TFDS's `celeb_a_hq/1024`, whose images must be made by hand. The batch is 32 at
    every size, the authors' from 64 pixels on; below, they have up to 512. This config has not been
    run to its end.
    """
    config = base_config("progan")
    config.batch_size = 32
    config.steps = 375_000
    config.data.update(name="celeb_a_hq/1024", image_size=1024)
    config.method.flip = True
    config.method.rates = ((128, 1.5), (256, 2.0), (512, 3.0), (1024, 3.0))
    config.optimizer.update(
        name="adam", learning_rate=1e-3, schedule="constant", b1=0.0, b2=0.99, exclude=()
    )
    config.evals.final = ("pictures",)
    config.evals.pictures.update(every=18_750, neighbors=1000)
    config.evals.batch_size = 32
    config.checkpoint.every = 5000
    return config
