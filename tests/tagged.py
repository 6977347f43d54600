"""Small images of several classes each, as a TFDS data set with Pascal VOC's features.

Class k is a bright stripe in third k of the image. Of every fifth image a class that it has is
doubtful, and named in `labels` alone.
"""

import atexit
import functools
import pathlib
import shutil
import tempfile

import cv2
import numpy as np
import tensorflow_datasets as tfds

NAME = "toy_tags"
CLASSES = ("head", "belly", "foot")
KEYS = {"multi_label_key": "labels_no_difficult", "doubtful_key": "labels"}


def truth(split, count):
    """(images, classes) of a split: 1, 0, or -1 where it is doubtful."""
    rng = np.random.default_rng([len(split)])
    labels = (rng.random((count, 3)) < 0.5).astype(np.int32)
    for row in range(0, count, 5):
        labels[row, row % 3] = -1
    return labels


def picture(rng, labels, side):
    """An image of these classes."""
    levels = np.repeat(np.where(labels != 0, 200, 60), -(-side // 3))[:side]
    noise = rng.integers(-20, 21, (side, side, 3))
    return np.clip(levels[:, None, None] + noise, 0, 255).astype(np.uint8)


class _Tags(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    name = NAME
    VERSION = tfds.core.Version("1.0.0")
    side, sizes = 8, {}

    def _info(self):
        several = tfds.features.Sequence(tfds.features.ClassLabel(names=CLASSES))
        features = {
            "image": tfds.features.Image(shape=(self.side, self.side, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(num_classes=10),
            "labels": several,
            "labels_no_difficult": several,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,  # The order is that of `truth`.
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.sizes}

    def _generate_examples(self, split):
        rng = np.random.default_rng(0)
        for number, labels in enumerate(truth(split, self.sizes[split])):
            pixels = picture(rng, labels, self.side)
            yield (
                number,
                {
                    "image": cv2.imencode(".png", pixels)[1].tobytes(),
                    "label": number % 10,
                    "labels": np.flatnonzero(labels != 0).tolist(),
                    "labels_no_difficult": np.flatnonzero(labels == 1).tolist(),
                },
            )


@functools.cache
def folder(side, train=40, test=20):
    """A directory that holds the data set, and is gone when this process ends."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="ssljax-tagged-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    sizes = {"train": train, "test": test}
    kind = type(
        "_Sized", (_Tags,), {"name": NAME, "side": side, "sizes": sizes}, skip_registration=True
    )
    kind(data_dir=str(root), file_format="array_record").download_and_prepare()
    return root
