"""Exemplars on ImageNet, as triplets."""

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """Eight crops of each image, and semi-hard negatives, with a ResNet-50.

        python -m ssljax.main --config exemplar/imagenet --workdir DIR

    The values are those of google/revisiting-self-supervised, which scales embeddings to length 1
    over the batch; here it is over their features, as is meant. There an image is grey in all of
    its crops or in none, and each crop is standardised by itself; here each crop is grey or not by
    itself, and all are normalised alike. Its ResNet-50 has three times the width, for which add
    `--config.model.encoder.width=3`.
    """
    config = base_config("exemplar")
    imagenet.data(config)
    config.batch_size = 64
    config.epochs = 35.0
    config.method.update(form="triplet", crops=8, margin=0.5, embedding_dim=1000)
    config.method.view.update(
        size=224,
        gray_p=0.66,
        brightness=32 / 255,
        brightness_mode="additive",
        contrast=0.5,
        saturation=0.5,
        hue=0.2,
        jitter_p=1.0,
        mean=presets.IMAGENET_MEAN,
        std=presets.IMAGENET_STD,
    )
    config.model.encoder.update(name="resnet50", stem="imagenet", dtype="bfloat16")
    config.optimizer.update(
        name="sgd",
        learning_rate=0.1,
        scaling="linear",
        schedule="step",
        warmup_epochs=5.0,
        step_epochs=(15.0, 25.0),
        weight_decay=1e-4,
        exclude=(),
    )
    config.evals.test_split = "validation"
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    return config
