"""Shuffle and Learn, and sorting of sequences, on a folder of frames."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import videos


def get_config(variant: Literal["", "sorting", "cpu", "sorting_cpu"] = "") -> ConfigDict:
    """The order of frames, FRAMES/train/VIDEO/00000.jpg and so on.

        python -m ssljax.main --config shuffle_and_learn/folder --workdir DIR \
            --config.data.dir=FRAMES
        python -m ssljax.main --config shuffle_and_learn/folder:cpu --workdir DIR \
            --config.data.dir=FRAMES

    "" is the setting of the authors' code (imisra/shuffle-tuple) on UCF101, whose folders are
    CLASS/VIDEO: batches of 128 tuples, one of four in order, and CaffeNet, here without its groups
    and its local response normalisation; they have norms from the third convolution on, here every
    convolution has one. A batch of 32 clips has all of their tuples. "sorting" is that of Lee et
    al., 2017, with the numbers from memory. Neither has been run to its end. Both take clips from
    where most moves, as the papers do, which draw frames by the motion between them: that half of
    all clips, of frames 6 apart, so that nearest ones are a quarter of a second apart, is ours, as
    is a step of 3 frames from clip to clip. `frames/motion.csv`, which
    `ssljax.tools.prepare_video` writes, says how much moves. For what the method
    does against shortcuts beyond its papers see there.

    Args:
      variant: "" and "sorting" for accelerators; "cpu" and "sorting_cpu" for thin networks on
        frames of 48 pixels, and minutes on one core. As many tuples of "cpu" are in order as not:
        of one in four a weak network would say that none is. Frames keep their colours: a thin
        network does not see that two channels show the same thing.
    """
    config = base_config("shuffle_and_learn")
    sorts = variant.startswith("sorting")
    config.data.update(name="folder", frames=4 if sorts else 5, image_size=256)
    if sorts:
        config.method.form = "sorting"
    if variant.endswith("cpu"):
        videos.on_cpu(config)
        config.data.update(image_size=128, stride=6, hop=1, motion=0.7)
        config.batch_size = 32
        config.steps = 900
        config.method.update(
            positives=0.5,
            encoder_affine=True,
            crop=112,
            jitter=2,
            channel_splitting=False,
            noise=0.05,
            layer="stage3",
            pool=True,
            embedding_dim=128,
            hidden_dim=64,
            order_dim=128,
            blur=(0.5, 1.0),
        )
        config.method.view.size = 48
        return config
    config.data.update(stride=6, hop=3, motion=0.5)
    videos.alexnet(config)
    config.method.update(layer="conv5", pool=True)
    if sorts:
        config.batch_size = 128
        config.steps = 200000
        config.method.update(embedding_dim=1024, hidden_dim=512, crop=80, jitter=20)
        config.method.view.size = 80
        config.model.encoder.stem_stride = 2
        config.optimizer.update(learning_rate=0.01, step_fractions=(0.65, 0.9))
        return config
    config.batch_size = 32
    config.steps = 100000
    config.optimizer.step_fractions = (0.8,)
    return config
