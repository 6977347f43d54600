"""Super-resolution of ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The paper's SRResNet: 1,000,000 steps on crops of 96 pixels, four times reduced.

        python -m ssljax.main --config super_resolution/imagenet --workdir DIR

    The paper's crops are not resized. Here each has the share of the image that 96 pixels have of a
    photograph of 500x375, which is about its size in ImageNet.
    """
    config = base_config("super_resolution")
    imagenet.pretraining(config, batch_size=16, epochs=0.0, eval_every=100_000, save_every=20_000)
    config.steps = 1_000_000
    share = 96**2 / (500 * 375)
    config.method.view.update(crop_scale=(share, share), crop_ratio=(1.0, 1.0))
    config.model.encoder.dtype = "bfloat16"
    config.optimizer.update(
        name="adam", learning_rate=1e-4, scaling="none", schedule="constant", exclude=()
    )
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    return config
