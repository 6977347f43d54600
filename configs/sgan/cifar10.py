"""SGAN on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """The authors' settings for 400 labels a class: feature matching, 1200 epochs.

        python -m ssljax.main --config sgan/cifar10 --workdir DIR

    The networks are DCGAN's, where the authors have a deeper discriminator with weight norm, and
    the learning rate does not fall. For the same network on the same labels alone add
    `--config.method.supervised_only=True`. This config has not been run to its end.
    """
    config = base_config("sgan")
    config.batch_size = 100
    config.epochs = 1200.0
    cifar10.data(config)
    config.data.labels = 400.0
    config.optimizer.update(
        name="adam", learning_rate=3e-4, schedule="constant", b1=0.5, exclude=()
    )
    config.evals.update(final=("classifier", "pictures"), baselines=False)
    config.evals.classifier.every = config.evals.pictures.every = 10_000
    return config
