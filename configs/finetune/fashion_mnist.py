"""Fine-tuning on Fashion-MNIST with 1 % of the labels, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """The network of `simclr/fashion_mnist`, and 60 labelled images of each class.

        python -m ssljax.main --config finetune/fashion_mnist --workdir DIR \
            --config.init.workdir=PRETRAINED

    PRETRAINED is the workdir of a run of `simclr/fashion_mnist`: 69.1 % of the test set
    right; without it the network starts untrained and ends at 59.4 %. Takes a minute on two CPU
    cores.
    `--config.data.labels=0.1` takes a tenth of the labels.
    """
    config = base_config("finetune")
    fashion_mnist.encoder_on_cpu(config)
    config.method.view.update(brightness=0.0, contrast=0.0, crop_scale=(0.5, 1.0))
    config.data.labels = 0.01
    config.batch_size = 120
    config.epochs = 60.0
    config.optimizer.update(learning_rate=1e-3, weight_decay=0.0)
    config.evals.update(final=("classifier",), baselines=False)
    return config
