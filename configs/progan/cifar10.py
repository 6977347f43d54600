"""ProGAN on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """The authors' settings: 20 million images of up to 32 pixels, and a slope of 750.

        python -m ssljax.main --config progan/cifar10 --workdir DIR

    They are those of the authors' Theano code, where both networks move at once on the same latent
    vectors and squares are averaged after the LeakyReLU. This config has not been run to its end.
    """
    config = base_config("progan")
    config.batch_size = 16
    config.steps = 1_250_000
    cifar10.data(config)
    config.method.update(latent_dim=128, stable_kimg=400.0, fade_kimg=400.0, penalty_target=750.0)
    for network in config.model.values():
        network.update(fmap_base=4096, fmap_max=128)
    config.model.discriminator.group_size = 16
    config.optimizer.update(
        name="adam", learning_rate=1e-3, schedule="constant", b1=0.0, b2=0.99, exclude=()
    )
    config.evals.knn.every = config.evals.pictures.every = 25_000
    config.checkpoint.every = 5000
    return config
