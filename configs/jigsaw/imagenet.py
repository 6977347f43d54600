"""Jigsaw puzzles on ImageNet."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config(variant: Literal["", "kolesnikov", "goyal"] = "") -> ConfigDict:
    """Nine tiles of 64 pixels from cells of 85.

        python -m ssljax.main --config jigsaw/imagenet --workdir DIR
        python -m ssljax.main --config jigsaw/imagenet:goyal --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and accelerators. No variant has been
    run to its end.

    "" is the setting that the authors released (`train_val_cfn_jps.prototxt` of
    MehdiNoroozi/JigsawPuzzleSolver), with the tiles standardised and the colours changed as in
    their second release: AlexNet without norms and with a stride of 2, here without its groups and
    its local response normalisation. "kolesnikov" is that of Kolesnikov, Zhai and Beyer, Revisiting
    Self-Supervised Visual Representation Learning, 2019, on a ResNet-50 of twice the width, whose
    tiles they standardise over all channels together. "goyal" is that of Goyal et al., Scaling and
    Benchmarking Self-Supervised Visual Representation Learning, 2019, as VISSL has it; its 2000
    permutations reach 46.73 % top-1 with a linear classifier, by VISSL's MODEL_ZOO. Both leave a
    third of the images in colour, by whose displacement a network can tell the place of a tile.

    Args:
      variant: Whose setting.
    """
    config = base_config("jigsaw")
    imagenet.pretraining(config, batch_size=256, epochs=0.0, eval_every=25000, save_every=5000)
    config.data.update(crop="device", image_size=292, resize="exact")
    if variant == "":
        config.steps = 350000
        config.model.encoder.update(
            name="alexnet", widths=(96, 256, 384, 384, 256), stem_stride=2, dtype="bfloat16"
        )
        config.method.update(
            encoder_norm=False,
            layer="conv5",
            pool=True,
            gray_p=0.5,
            projection_p=0.5,
            channel_shift=2,
        )
        config.optimizer.update(
            name="sgd",
            learning_rate=0.01,
            weight_decay=5e-4,
            schedule="step",
            step_fractions=(100 / 350, 200 / 350, 300 / 350),
        )
        config.evals.stages = ("conv1", "conv2", "conv3", "conv4", "conv5")
        return config
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    config.optimizer.update(
        name="sgd", learning_rate=0.1, scaling="linear", weight_decay=1e-4, schedule="step"
    )
    if variant == "kolesnikov":
        config.batch_size = 128
        config.epochs = 35.0
        config.model.encoder.update(name="resnet50x2", stem="imagenet", dtype="bfloat16")
        config.method.update(
            puzzles=8,
            shared=True,
            projection_p=0.0,
            embedding_dim=1000,
            embedding="linear",
            hidden="bn_relu",
            probe="tiles",
        )
        config.optimizer.update(warmup_epochs=5.0, step_epochs=(15.0, 25.0), exclude=())
    elif variant == "goyal":
        config.epochs = 105.0
        config.data.update(image_size=256, resize="short_side")
        config.model.encoder.update(name="resnet50", stem="imagenet", dtype="bfloat16")
        config.method.update(
            size=256,
            flip_p=0.5,
            permutations=2000,
            projection_p=0.0,
            normalization="view",
            embedding_dim=1000,
            embedding="bn_relu",
            hidden_dim=0,
            dropout=0.0,
        )
        config.optimizer.update(warmup_epochs=5.0, step_epochs=(30.0, 60.0, 90.0, 100.0))
    return config
