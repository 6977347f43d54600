"""Context prediction on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The authors' setting: patches of 96 pixels with gaps of 48, and plain gradient descent.

        python -m ssljax.main --config context_prediction/imagenet --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and an accelerator. It follows
    `train.py` of cdoersch/deepcontext, where a batch is of up to 512 patches: 16 images with 4
    grids of 9 are 576. The authors stop after 1 to 1.7 million steps; this config has not been run
    to its end. Their CaffeNet has norms from the third convolution on and local response
    normalisation before it; here every convolution has a norm. For the colours of the paper's other
    form add `--config.method.color=project`.
    """
    config = base_config("context_prediction")
    imagenet.pretraining(config, batch_size=16, epochs=0.0, eval_every=100000, save_every=10000)
    config.steps = 1500000
    config.data.update(crop="device", image_size=512)
    config.model.encoder.update(name="alexnet", widths=(96, 256, 384, 384, 256), dtype="bfloat16")
    config.method.update(layer="conv5", pool=True)
    config.optimizer.update(
        name="sgd", learning_rate=1e-5, momentum=0.0, schedule="constant", weight_decay=0.0
    )
    config.evals.stages = ("conv1", "conv2", "conv3", "conv4", "conv5")
    return config
