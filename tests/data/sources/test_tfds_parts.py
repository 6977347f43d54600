"""Masks, boxes and several labels of TFDS records, by the paths of their features."""

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from ssljax.data import Parts, load_all, open_source
from ssljax.errors import UserError


class _Scenes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What Pascal VOC looks like: an image, its mask, its objects and its tags."""

    name = "toy_scenes"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        png = {"encoding_format": "png"}
        objects = {
            "bbox": tfds.features.BBoxFeature(),
            "label": tfds.features.ClassLabel(num_classes=5),
            "truncated": tfds.features.ClassLabel(num_classes=2),
            "is_crowd": np.bool_,
            "is_difficult": np.bool_,
        }
        features = {
            "image": tfds.features.Image(shape=(8, 8, 3), **png),
            "annotation": {"mask": tfds.features.Image(shape=(8, 8, 1), **png)},
            "objects": tfds.features.Sequence(objects),
            "tags": tfds.features.Sequence(tfds.features.ClassLabel(num_classes=5)),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for k in range(6):
            box = tfds.features.BBox(ymin=0.0, xmin=0.25, ymax=0.5, xmax=1.0)
            yield (
                k,
                {
                    "image": cv2.imencode(".png", np.full((8, 8, 3), k, np.uint8))[1].tobytes(),
                    "annotation": {
                        "mask": cv2.imencode(".png", np.full((8, 8), k, np.uint8))[1].tobytes()
                    },
                    "objects": [
                        {
                            "bbox": box,
                            "label": j,
                            "truncated": 1,
                            "is_crowd": k == 5,
                            "is_difficult": k == 3 and j == 1,
                        }
                        for j in range(k % 4)
                    ],
                    "tags": list(range(k % 3)),
                },
            )


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    directory = tmp_path_factory.mktemp("scenes")
    _Scenes(data_dir=str(directory), file_format="array_record").download_and_prepare()
    return directory


def test_parts_that_are_not_asked_for_are_not_read(scenes):
    source = open_source("toy_scenes", "train", scenes, image_key="image")
    assert source.fields.keys() == {"image"}
    assert load_all(source, image_size=8, channels=3).keys() == {"image"}


def test_every_part_belongs_to_its_image(scenes):
    parts = Parts("annotation/mask", "tags", "objects/bbox", max_boxes=4)
    source = open_source("toy_scenes", "train", scenes, image_key="image", parts=parts)
    arrays = load_all(source, image_size=16, channels=3)
    assert arrays["mask"].shape == (6, 16, 16)
    for i, k in enumerate(arrays["image"][:, 0, 0, 0]):
        assert (arrays["mask"][i] == k).all()
        assert arrays["multi_label"][i].tolist() == [int(c < k % 3) for c in range(5)]
        # Image 5 has a crowd, and the second thing of image 3 is difficult.
        kept = [c for c in range(k % 4) if k != 5 and (k, c) != (3, 1)]
        expected = [[0, 4, 8, 16, c] for c in kept] + [[-1] * 5] * (4 - len(kept))
        np.testing.assert_array_equal(arrays["boxes"][i], expected)
        _, crowd, difficult = source.fields["boxes"].rows(source.read(i)["boxes"], (8, 8))
        assert crowd.tolist() == [bool(k == 5)] * (k % 4)
        assert difficult.tolist() == [bool(k == 3 and c == 1) for c in range(k % 4)]


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (Parts(mask_key="annotation"), r"mask_key='annotation' is not a feature"),
        (Parts(boxes_key="objects/label"), "boxes_key='objects/label'.*choose one of objects/bbox"),
        (Parts(multi_label_key="image"), "multi_label_key='image'.*choose one of objects/label,"),
    ],
)
def test_a_wrong_feature_is_told(scenes, parts, told):
    with pytest.raises(UserError, match=told):
        open_source("toy_scenes", "train", scenes, image_key="image", parts=parts)


def test_more_boxes_than_there_is_room_for_are_told(scenes):
    parts = Parts(boxes_key="objects.bbox", max_boxes=1)
    source = open_source("toy_scenes", "train", scenes, image_key="image", parts=parts)
    with pytest.raises(UserError, match=r"toy_scenes/train #\d has 2 boxes, more than 1: raise"):
        load_all(source, image_size=8, channels=3)


def test_another_number_of_classes_than_the_boxes_have_is_told(scenes):
    parts = Parts(boxes_key="objects/bbox", box_classes=4)
    told = r"box_classes=4, and the boxes of toy_scenes are of 5 classes: set it to that"
    with pytest.raises(UserError, match=told):
        open_source("toy_scenes", "train", scenes, image_key="image", parts=parts)
