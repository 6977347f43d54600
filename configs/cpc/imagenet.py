"""CPC v2 on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """CPC v2 with the paper's patches and predictions, and a ResNet-101.

        python -m ssljax.main --config cpc/imagenet --workdir DIR

    The paper's own network, a ResNet-161, is not offered; ResNet-101 is that of the port in
    lightning-bolts. The optimizer is our choice.
    """
    config = base_config("cpc")
    imagenet.data(config)
    config.batch_size = 512
    config.epochs = 200.0
    config.model.encoder.update(name="resnet101", stem="imagenet", dtype="bfloat16")
    config.optimizer.update(
        name="adam",
        learning_rate=4e-4,
        b1=0.8,
        schedule="constant",
        clip_norm=1.0,
    )
    config.evals.test_split = "validation"
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    return config
