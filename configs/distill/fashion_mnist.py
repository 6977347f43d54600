"""Distillation on Fashion-MNIST into a thinner network, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A student of half the teacher's width, on all images and no label.

        python -m ssljax.main --config distill/fashion_mnist --workdir DIR \
            --config.init.workdir=TEACHER

    TEACHER is the workdir of a run of `finetune/fashion_mnist`. For self-distillation add
    `--config.model.encoder.widths=(16,32,64) --config.method.temperature=0.1`.
    """
    config = base_config("distill")
    fashion_mnist.encoder_on_cpu(config)
    config.model.encoder.widths = (8, 16, 32)
    config.method.view.update(brightness=0.0, contrast=0.0, crop_scale=(0.5, 1.0))
    config.evals.update(final=("classifier",), baselines=False)
    return config
