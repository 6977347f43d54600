"""The context encoder on ImageNet."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config(region: Literal["center", "random"] = "center") -> ConfigDict:
    """The authors' training at 128 pixels, with their encoder.

        python -m ssljax.main --config context_encoder/imagenet --workdir DIR
        python -m ssljax.main --config context_encoder/imagenet:random --workdir DIR

    The authors cut crops of 128 pixels from images whose shorter side is resized to 350. Here crops
    have the share of the image's area that those have of a square: of a photograph of 4:3 they show
    a side that is 15 % longer. The method's own scores are of crops of centre squares of 350.

    Args:
      region: "center" for the middle of the image with an overlap, "random" for regions of any
        shape without one. The discriminator of whole images has then layers of 64, 128, 256, 512
        and 1024 channels, and the authors' of 64, 64, 128, 256 and 512.
    """
    config = base_config("context_encoder")
    imagenet.pretraining(config, batch_size=64, epochs=500.0, eval_every=100_000, save_every=20_000)
    config.data.image_size = 350
    share = (128 / 350) ** 2
    config.method.view.update(crop_scale=(share, share), crop_ratio=(1.0, 1.0))
    config.model.encoder.update(name="context_encoder_dcgan", dtype="bfloat16")
    config.model.discriminator.dtype = "bfloat16"
    config.optimizer.update(
        name="adam", learning_rate=2e-3, schedule="constant", b1=0.5, exclude=()
    )
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4", "stage5")
    if region == "random":
        config.method.update(region="random", overlap=0, decoder_widths=(512, 256, 128, 64, 64))
    return config
