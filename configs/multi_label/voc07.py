"""Classification of Pascal VOC 2007, the benchmark of what features are worth elsewhere."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config(variant: Literal["", "frozen"] = "") -> ConfigDict:
    """An AlexNet learns which of 20 classes an image shows, all of it or its classifier alone.

        python -m ssljax.main --config multi_label/voc07 --workdir DIR --config.init.workdir=ENCODER
        python -m ssljax.main --config multi_label/voc07:frozen --workdir DIR \
            --config.init.workdir=ENCODER

    The set is TFDS's `voc/2007`; classes of which an image shows only objects that are difficult to
    see teach nothing and are not scored. ENCODER is the workdir of a run with the same encoder,
    such as `rotation/imagenet`; without it the network starts untrained. Scored are the mean scores
    of ten random crops of each test image, by the area under the precision (`map`) and by eleven
    points (`map_11`). It learns from train and validation together, as the benchmark does, and
    keys are chosen by `--config.data.split=train --config.evals.test_split=validation`.

    The numbers are those of philkr/voc-classification, but for the crops, see the method, and the
    rescaling of untrained layers, which is not done here. Images are squeezed into squares of 375
    pixels, so that no object is cut off, and the classifier reads the mean of conv5, where the
    benchmark's is fc6 to fc8. This config has not been run to its end.

    Args:
      variant: "" for fine-tuning of the whole network; "frozen" for the classifier on an encoder
        that stays as it is, its norms' scales included.
    """
    config = base_config("multi_label")
    config.batch_size = 16
    config.steps = 80_000
    config.data.update(
        name="voc/2007",
        split="train+validation",
        image_size=375,
        resize="exact",
        multi_label_key="labels_no_difficult",
        doubtful_key="labels",
    )
    config.method.train_encoder = variant != "frozen"
    config.model.encoder.name = "alexnet"
    config.optimizer.update(
        name="sgd",
        learning_rate=1e-3,
        momentum=0.9,
        schedule="step",
        step_fractions=tuple(k / 8 for k in range(1, 8)),  # Every 10,000 steps.
        step_factor=0.5,
        weight_decay=1e-6,
        clip_norm=10.0,
    )
    config.evals.update(
        final=("multi_label",), train_split="train+validation", test_split="test", baselines=False
    )
    config.evals.multi_label.crops = 10
    config.evals.batch_size = 64
    return config
