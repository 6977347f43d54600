"""Small images with boxes, in folders: bright and dark rectangles on grey, in COCO's format."""

import atexit
import functools
import json
import pathlib
import shutil
import tempfile

import cv2
import numpy as np

ANNOTATIONS = "annotations/{split}.json"
CLASSES = 2


def drawn(rng, height, width, most=3):
    """An image of dark and bright rectangles that do not meet, and their boxes and classes."""
    image = np.full((height, width, 3), 128, np.int64) + rng.integers(-20, 21, (height, width, 1))
    boxes, classes = [], []
    for _ in range(rng.integers(1, most + 1)):
        size = rng.integers(min(height, width) // 4, min(height, width) // 2, 2)
        top, left = rng.integers(0, [height - size[0] + 1, width - size[1] + 1])
        box = np.array([top, left, top + size[0], left + size[1]])
        if all((box[:2] >= other[2:]).any() or (box[2:] <= other[:2]).any() for other in boxes):
            number = rng.integers(CLASSES)
            image[top : box[2], left : box[3]] = 30 + 200 * number
            boxes.append(box)
            classes.append(int(number))
    return np.clip(image, 0, 255).astype(np.uint8), np.array(boxes), np.array(classes)


def annotated(split, drawings):
    """What stands in a file of COCO's format; its categories have the ids 7 and 3."""
    found = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 7, "name": "bright"}, {"id": 3, "name": "dark"}],
    }
    for number, (name, (image, boxes, classes)) in enumerate(drawings.items()):
        height, width = image.shape[:2]
        found["images"].append(
            {"id": 10 + number, "file_name": name, "height": height, "width": width}
        )
        for (top, left, bottom, right), kind in zip(boxes.tolist(), classes, strict=True):
            found["annotations"].append(
                {
                    "image_id": 10 + number,
                    "category_id": (3, 7)[kind],
                    "bbox": [left, top, right - left, bottom - top],
                }
            )
    return found


def paint(directory, splits, size):
    """Writes images as PNG, in two folders of each split, and the files of annotations.

    Args:
      directory: Where.
      splits: How many images each has.
      size: (height, width) of the images.

    Returns:
      The drawings, by split and by name.
    """
    rng = np.random.default_rng(0)
    made = {}
    for split, count in splits.items():
        made[split] = {f"{'ab'[i % 2]}/{i:03d}.png": drawn(rng, *size) for i in range(count)}
        for name, (image, _, _) in made[split].items():
            file = directory / split / name
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), image)
        file = directory / ANNOTATIONS.format(split=split)
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(annotated(split, made[split])))
    return made


@functools.cache
def folder(side, count=40):
    """A folder of rectangles that is gone when this process ends."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="ssljax-boxed-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    paint(root, {"train": count, "test": 8}, (side, side))
    return root
