"""OBoW on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The authors' 200 epochs with a ResNet-50.

        python -m ssljax.main --config bag_of_words/imagenet --workdir DIR

    The teacher sees the centre of an image, so that all views are cut on the device, from images
    whose shorter side is 256 pixels; the authors cut the student's from whole photographs.
    """
    config = base_config("bag_of_words")
    imagenet.data(config)
    config.data.crop = "device"
    config.batch_size = 256
    config.epochs = 200.0
    config.model.encoder.update(name="resnet50", stem="imagenet", dtype="bfloat16")
    config.optimizer.update(
        name="sgd",
        learning_rate=0.03,
        scaling="none",
        schedule="cosine",
        warmup_epochs=10.0,
        end_value=3e-5,
        weight_decay=1e-4,
        exclude=(),
    )
    config.evals.test_split = "validation"
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    return config
