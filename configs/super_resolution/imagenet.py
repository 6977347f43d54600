"""Super-resolution of ImageNet."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config(variant: Literal["", "srgan"] = "") -> ConfigDict:
    """The paper's SRResNet, on crops of 96 pixels that are four times reduced, and its SRGAN.

        python -m ssljax.main --config super_resolution/imagenet --workdir SRRESNET
            --config.init.workdir=ENCODER
        python -m ssljax.main --config super_resolution/imagenet:srgan --workdir DIR
            --config.init.workdir=SRRESNET

    ENCODER is the workdir of any run with a convolutional encoder, from which SRGAN takes the
    features that enlarged and true images shall share. The paper's is a VGG-19 that was trained
    with labels, here `--config finetune/imagenet --config.model.encoder.name=vgg19`; for another
    one, name one of its outputs in `--config.method.content_layer`. Without ENCODER SRGAN needs a
    file of VGG-19's weights in `--config.method.extractor`, see `ssljax.tools.convert_vgg`, or
    `--config.method.content=pixels`.

    The paper's crops are not resized. Here each has the share of the image that 96 pixels have of a
    photograph of 500x375, which is about its size in ImageNet. The method's own scores are of crops
    of centre squares: as squares of 433 pixels have as many as such a photograph, their crops have
    96 pixels too.

    Args:
      variant: "" for SRResNet and its 1,000,000 steps, "srgan" for the 200,000 that follow.
    """
    config = base_config("super_resolution")
    imagenet.pretraining(config, batch_size=16, epochs=0.0, eval_every=100_000, save_every=20_000)
    config.steps = 1_000_000
    config.data.image_size = 433
    share = 96**2 / (500 * 375)
    config.method.view.update(crop_scale=(share, share), crop_ratio=(1.0, 1.0))
    config.model.encoder.dtype = "bfloat16"
    config.optimizer.update(
        name="adam", learning_rate=1e-4, scaling="none", schedule="constant", exclude=()
    )
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    if variant == "srgan":
        config.steps = 200_000
        config.method.update(adversarial_weight=1e-3, content="features", content_layer="stage5")
        config.model.discriminator.dtype = "bfloat16"
        config.optimizer.update(schedule="step", step_fractions=(0.5,), step_factor=0.1)
    return config
