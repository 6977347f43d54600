"""Exemplars on STL-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.optimizers.masks import NORMS_AND_BIASES


def get_config() -> ConfigDict:
    """A class for each of 16,000 seed images and the network 92c5-256c5-512c5-1024f.

        python -m ssljax.main --config exemplar/stl10 --workdir DIR

    Rates and ranges are those of the public code that reaches the paper's accuracy. That code has
    112 patches of each seed, made once; here every patch is new. Its weight decay rises from layer
    to layer and the last layer learns more slowly; here all layers learn alike, and those after the
    second have the decay of the fully connected one. Its linear classifier sees the maps of all
    layers on whole images; here probes see images at the size of a patch, layer by layer.
    """
    config = base_config("exemplar")
    config.batch_size = 128
    config.epochs = 110.0 * 101  # 110 of about 101 patches a seed: a tenth is held out.
    config.data.update(name="stl10", split="unlabelled[:16000]", image_size=96)
    config.method.view.update(
        mean=(0.383661700858527, 0.3819784115384924, 0.3588786631614881),
        std=(0.2167717755518767, 0.21201058526724945, 0.21143164036556178),
    )
    config.model.encoder.name = "exemplar_cnn"
    config.optimizer.update(
        name="sgd",
        learning_rate=0.01,
        schedule="step",
        step_fractions=(76 / 110, 86 / 110, 93 / 110, 101 / 110),
        step_factor=0.4,
        weight_decay=0.004,
        exclude=(NORMS_AND_BIASES, "encoder/conv[12]/"),
    )
    config.evals.stages = ("stage1", "stage2", "stage3", "features")
    return config
