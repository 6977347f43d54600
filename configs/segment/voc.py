"""Semantic segmentation of Pascal VOC 2012."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config(variant: Literal["", "dilated"] = "") -> ConfigDict:
    """DeepLab v2 with a ResNet-101, or the dilated VGG-16 with its context module.

        python -m ssljax.main --config segment/voc --workdir DIR --config.data.dir=VOC \
            --config.init.workdir=ENCODER

    VOC holds `train` and `val`, each with `images/` and `masks/`, of the 10,582 and 1,449 images
    with masks of 21 classes that are 255 in the void. Images stand in squares of 500 pixels, the
    longest side that they have, with black around them: windows may show some of that, where the
    authors' show the mean. ENCODER is the workdir of a run with the same encoder, such as
    `supervised/imagenet` with `--config.model.encoder.name=resnet101`; in its place a file of
    torchvision's or timm's weights may be named in `--config.pretrained.weights`.

    The numbers are those of kazuto1011/deeplab-pytorch, which reports a mean IoU of 76.65 % on val
    (77.93 % with a CRF) from a network that had learnt COCO's masks; from ImageNet alone 73.4 % are
    reported. There the rate falls at every tenth step, batch norm's statistics and scales are those
    of the encoder's training, pixels are not divided by their deviation, and the stride of a block
    is on its first convolution; the last two differ here. This config has not been run to its end.

    Args:
      variant: "" for DeepLab v2; "dilated" for Yu and Koltun's networks at the rate of their joint
        training, with their mean. They train the front end first (rate 1e-4, batch 14), then the
        context module on its scores (1e-3, batch 60), and then both (1e-5); here all is trained at
        once, so a longer run at higher rates will be needed. Momentum, decay and the factor of the
        biases' rate are from memory.
    """
    config = base_config("segment")
    config.batch_size = 5
    config.steps = 20_000
    config.data.update(name="folder", image_size=500, resize="pad", mask_classes=21, void=255)
    config.optimizer.update(
        name="sgd",
        learning_rate=2.5e-4,
        momentum=0.9,
        schedule="poly",
        power=0.9,
        poly_every=10,
        weight_decay=5e-4,
        accumulate=2,
    )
    config.evals.update(final=("segmentation",), test_split="val", baselines=False)
    config.evals.segmentation.batch_size = 4
    if variant == "dilated":
        config.batch_size = 14
        config.data.image_size = 504  # The network takes sides that are multiples of 8.
        config.model.encoder.name = "dilated_vgg"
        config.model.head.name = "context"
        config.method.update(scales=(1.0,), sizes=(1.0,), head_rate=1.0, head_bias_rate=2.0)
        mean = (116.52 / 255, 111.36 / 255, 102.93 / 255)
        config.method.view.update(size=528, mean=mean)
        config.optimizer.update(learning_rate=1e-5, schedule="constant", accumulate=1)
    return config
