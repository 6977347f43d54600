"""Tracking on a folder of tracks."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import videos


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """Pairs of patches from tracks, TRACKS/train/VIDEO/TRACK/0.jpg and 1.jpg.

        python -m ssljax.main --config tracking/folder --workdir DIR --config.data.dir=TRACKS
        python -m ssljax.main --config tracking/folder:cpu --workdir DIR --config.data.dir=TRACKS

    "" is the setting of the authors' code (xiaolonw/caffe-video_triplet): AlexNet without norms,
    here without its groups and its local response normalisation, and a margin of 1, for which the
    paper has 0.5. They learn from 8 million patches of 100,000 videos; this config has not been run
    to its end. Their patches are resized to 227 pixels; here patches of 256 pixels lose a strip of
    8 along their edges, see the method.

    Folders VIDEO say which negatives may be drawn; folders CLASS above them do not. In the
    evaluations the folders of the first level are the classes.

    Args:
      variant: "" for accelerators; "cpu" for a thin network on patches of 48 pixels, and minutes on
        one core. Of the border of frames 2 pixels are cut off there, and of strips that are
        wider something tells tracks: such frames are to be cropped first.
    """
    config = base_config("tracking")
    config.data.update(name="folder", frames=2, image_size=256)
    if variant == "cpu":
        videos.on_cpu(config)
        config.data.image_size = 48
        config.batch_size = 64
        config.steps = 600
        config.method.update(border=2, jitter=2, hidden_dim=128, embedding_dim=64)
        config.method.view.update(size=40, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
        return config
    config.batch_size = 100
    config.steps = 400000
    videos.alexnet(config)
    config.method.update(margin=1.0, encoder_norm=False, layer="conv5", pool=True)
    config.optimizer.step_fractions = (1 / 4, 2 / 4, 3 / 4)
    return config
