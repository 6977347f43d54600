"""Object detection on Pascal VOC."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config(variant: Literal["", "coco"] = "") -> ConfigDict:
    """FCOS with a ResNet-50 and a feature pyramid, for 90,000 steps ("1x").

        python -m ssljax.main --config detect/voc --workdir DIR --config.init.workdir=ENCODER

    The set is TFDS-prepared as `voc`, whose config "2007" and splits train+validation and test are
    taken; ENCODER is the workdir of a run with a ResNet-50 for ImageNet, such as
    `simclr/imagenet`. Images stand in squares of 800 pixels, with black around them.

    The numbers are those that tianzhi0549/FCOS has for COCO (`fcos_imprv_R_50_FPN_1x`, 38.7 % AP
    there), where the short side of an image is 800 pixels and the long one up to 1333, the rate
    starts at a third for 500 steps (here it climbs from 0), images without any thing are left out
    of training (here they show what is none), boxes end at the image's edge before those that
    overlap are dropped (here at the square's), and the encoder's stem and first stage stay as they
    are. The norms of the encoder use the statistics of its own training;
    `--config.method.train_norms=true` learns them, as is usual after self-supervised learning. For
    VOC alone 90,000 steps are 290 epochs: fewer will do. This config has not been run to its end.

    Args:
      variant: "" for Pascal VOC 2007; "coco" for the 80 classes of COCO 2017, TFDS-prepared as
        `coco`.
    """
    config = base_config("detect")
    config.batch_size = 16
    config.steps = 90_000
    config.data.update(
        name="voc/2007",
        split="train+validation",
        image_size=800,
        resize="pad",
        boxes_key="objects/bbox",
        box_classes=20,
        max_boxes=64,
    )
    config.optimizer.update(
        name="sgd",
        learning_rate=0.01,
        momentum=0.9,
        schedule="step",
        step_fractions=(2 / 3, 8 / 9),
        step_factor=0.1,
        warmup_steps=500,
        weight_decay=1e-4,
    )
    config.evals.update(final=("detection",), test_split="test", baselines=False)
    if variant == "coco":
        config.data.update(name="coco/2017", split="train", box_classes=80, max_boxes=100)
        config.evals.test_split = "validation"
    return config
