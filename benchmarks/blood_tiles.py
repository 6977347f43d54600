"""Cuts photographs of blood cells into tiles, each with the kinds of cells that it shows.

    python -m benchmarks.blood_tiles --data_dir DIR

DIR holds the TFDS data set `bccd`, photographs of 640x480 pixels with boxes of red cells, white
cells and platelets; whole photographs show nearly all of them every kind. The tiles, of 160 pixels
reduced to 80, become the TFDS data set `bccd_tiles` in the same directory, with the features that
Pascal VOC has in TFDS: a kind is among `labels_no_difficult` where at least half of a cell's box
lies in the tile, and among `labels` where at least a tenth does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds

NAME = "bccd_tiles"
SIDE, STORED = 160, 80
"""Pixels of a tile in the photograph, and as it is stored."""
SHOWN, HINTED = 0.5, 0.1
"""Shares of a box in a tile from which on its kind is there, and from which on it is doubtful."""


def shares(boxes: np.ndarray, top: int, left: int, side: int = SIDE) -> np.ndarray:
    """Which share of each box's area lies in a tile.

    Args:
      boxes: (top, left, bottom, right) in pixels, a row each.
      top: The tile's first row.
      left: Its first column.
      side: Its height and width.
    """
    inside = [
        np.minimum(boxes[:, k + 2], start + side) - np.maximum(boxes[:, k], start)
        for k, start in ((0, top), (1, left))
    ]
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.prod(np.maximum(inside, 0), axis=0) / np.maximum(area, 1e-9)


def tiles(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The tiles of a photograph, row by row."""
    image, objects = record["image"], record["objects"]
    height, width = image.shape[:2]
    boxes = np.asarray(objects["bbox"], np.float64).reshape(-1, 4) * [height, width, height, width]
    kinds = np.asarray(objects["label"])
    for top in range(0, height - SIDE + 1, SIDE):
        for left in range(0, width - SIDE + 1, SIDE):
            part = image[top : top + SIDE, left : left + SIDE]
            part = cv2.resize(part, (STORED, STORED), interpolation=cv2.INTER_AREA)
            inside = shares(boxes, top, left)
            yield {
                "image": cv2.imencode(".png", part[:, :, ::-1])[1].tobytes(),
                "labels": np.unique(kinds[inside >= HINTED]).tolist(),
                "labels_no_difficult": np.unique(kinds[inside >= SHOWN]).tolist(),
            }


def write(data_dir: str) -> tfds.core.DatasetInfo:
    """Writes the data set, unless it is there.

    Args:
      data_dir: The directory of TFDS data sets, which holds `bccd`.
    """
    whole = tfds.builder("bccd", data_dir=data_dir)
    kind = whole.info.features["objects"].feature["label"]
    several = tfds.features.Sequence(tfds.features.ClassLabel(names=kind.names))
    features = {
        "image": tfds.features.Image(shape=(STORED, STORED, 3), encoding_format="png"),
        "labels": several,
        "labels_no_difficult": several,
    }

    class Tiles(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = NAME
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> tfds.core.DatasetInfo:
            description = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(builder=self, features=description)

        def _split_generators(self, _: Any) -> dict[str, Any]:
            return {split: self._generate_examples(split) for split in whole.info.splits}

        def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
            source = whole.as_data_source(split=split)
            yield from enumerate(tile for record in source for tile in tiles(record))

    builder = Tiles(data_dir=data_dir, file_format="array_record")
    builder.download_and_prepare()
    return builder.info


def main() -> None:
    """Writes the data set and tells its sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", required=True, help="TFDS directory, which holds bccd")
    info = write(parser.parse_args().data_dir)
    print(NAME, {name: split.num_examples for name, split in info.splits.items()})


if __name__ == "__main__":
    main()
