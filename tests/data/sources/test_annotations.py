"""Boxes of a folder's images in COCO's format, and what is told where it does not hold."""

import json

import boxed
import cv2
import numpy as np
import pytest

from ssljax.data import Parts, fingerprint, load_all, open_source
from ssljax.errors import UserError

SIZE = 20, 30
PARTS = Parts(annotations=boxed.ANNOTATIONS, box_classes=boxed.CLASSES, max_boxes=4)


@pytest.fixture
def folder(tmp_path):
    made = boxed.paint(tmp_path, {"train": 6, "test": 3}, SIZE)
    return tmp_path, made


def change(directory, edit, split="train"):
    file = directory / boxed.ANNOTATIONS.format(split=split)
    whole = json.loads(file.read_text())
    edit(whole)
    file.write_text(json.dumps(whole))


def test_every_image_has_its_boxes(folder):
    directory, made = folder
    for split, drawings in made.items():
        source = open_source("folder", split, directory, parts=PARTS)
        assert source.class_names == ("a", "b")  # Of whole images: the folders.
        arrays = load_all(source, image_size=60, channels=3, resize="pad")
        assert len(source) == len(drawings)
        for place in range(len(source)):
            name = "/".join(source.describe(place).split("/")[-2:])
            _, boxes, classes = drawings[name]
            # The image of 20x30 stands in the frame at twice its size, 10 pixels down.
            placed = 2 * boxes + np.array([10, 0, 10, 0])
            found = arrays["boxes"][place]
            np.testing.assert_allclose(found[: len(boxes), :4], placed, atol=1e-4)
            np.testing.assert_array_equal(found[: len(boxes), 4], classes)
            assert (found[len(boxes) :] == -1).all()
    assert "boxes of 2 classes in" in source.summary()


def test_images_that_are_not_listed_are_left_out_and_told(folder):
    directory, made = folder
    left = next(iter(made["train"]))

    def edit(whole):
        first = whole["images"].pop(0)
        rest = [x for x in whole["annotations"] if x["image_id"] != first["id"]]
        whole["annotations"] = rest

    before = fingerprint(open_source("folder", "train", directory, parts=PARTS))
    change(directory, edit)
    source = open_source("folder", "train", directory, parts=PARTS)
    assert len(source) == 5
    assert not any(source.describe(i).endswith(left) for i in range(5))
    assert "which says nothing of 1 images" in source.summary()
    assert fingerprint(source)["digest"] != before["digest"]


def test_masks_of_images_that_are_not_listed_are_left_out_with_them(tmp_path):
    made = boxed.paint(tmp_path, {"train": 3}, SIZE)["train"]
    (tmp_path / "train").rename(tmp_path / "images")
    for name in made:
        mask = tmp_path / "masks" / name
        mask.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(mask), np.zeros(SIZE, np.uint8))

    def edit(whole):
        first = whole["images"].pop(0)
        whole["annotations"] = [x for x in whole["annotations"] if x["image_id"] != first["id"]]

    change(tmp_path, edit)
    parts = Parts(annotations="annotations/train.json", box_classes=boxed.CLASSES, max_boxes=4)
    source = open_source("folder", "train", tmp_path, parts=parts)
    assert len(source) == 2
    assert {"image", "mask", "boxes"} <= set(source.read(0))


def test_a_changed_box_is_another_data_set_and_a_crowd_teaches_nothing(folder):
    directory, _ = folder
    before = fingerprint(open_source("folder", "train", directory, parts=PARTS))
    change(directory, lambda whole: whole["annotations"][0].update(iscrowd=1))
    source = open_source("folder", "train", directory, parts=PARTS)
    assert fingerprint(source)["digest"] != before["digest"]
    counts = [len(source.read(i)["boxes"].classes) for i in range(6)]
    arrays = load_all(source, image_size=30, channels=3, resize="pad")
    assert (arrays["boxes"][..., 4] >= 0).sum() == sum(counts) - 1


def without(part):
    return lambda whole: whole.pop(part)


def unknown(key):
    return lambda whole: whole["annotations"][0].update({key: 99})


def beyond(whole):
    whole["annotations"][0]["bbox"] = [25, 5, 10, 5]


def turned(whole):
    whole["annotations"][0]["bbox"] = [5, 5, -3, 5]


def smaller(whole):
    for image in whole["images"]:
        image.update(height=SIZE[1], width=SIZE[0])


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (without("images"), r"train.json lacks the list 'images': .*images, annotations, categ"),
        (unknown("image_id"), "annotation of number 99 of the images, which it lacks: add it"),
        (unknown("category_id"), "annotation of number 99 of the categories, which it lacks"),
        (lambda w: w["images"].append({**w["images"][0], "id": 1, "file_name": "c/x.png"}),
         r"lists 'c/x.png', which .*train lacks: name the folder of these images"),
        (lambda w: w.update(images=[], annotations=[]), "lists no images: name the folder"),
        (lambda w: w["images"][0].pop("height"), "not in COCO's format .*'height'.*file_name"),
        (lambda w: w["categories"].pop(0), "annotation of number 7 of the categories"),
        (lambda w: w["categories"].append({"id": 8, "name": "x"}),
         r"box_classes=2, and the boxes of .*train.json are of 3 classes: set it to that"),
        (lambda w: w["images"].append({**w["images"][0], "id": 1}),
         "train.json has several images of the file_name 'a/000.png': keep one"),
        (lambda w: w["categories"].append({"id": 7, "name": "x"}),
         "has several categories of the id 7: keep one"),
        (lambda w: [x.update(bbox=[1, 2]) for x in w["annotations"][:2]], "has not 4 numbers"),
        (beyond, r"png has the box \(5, 25, 10, 35\) of top, .* none within its image of 20x30"),
        (turned, r"has the box \(5, 5, 10, 2\) of top, left, bottom and right in pixels"),
        (smaller, "has boxes of an image of 30x20, and is one of 20x30"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_told_in_one_sentence(folder, edit, told):
    directory, _ = folder
    change(directory, edit)
    with pytest.raises(UserError, match=told):
        load_all(open_source("folder", "train", directory, parts=PARTS), image_size=30, channels=3)


def test_a_file_that_is_not_there_or_no_json_is_told(folder):
    directory, _ = folder
    with pytest.raises(UserError, match=r"no file .*nothing.json: name the one with the"):
        open_source("folder", "train", directory, parts=Parts(annotations="nothing.json"))
    (directory / "text.json").write_text("{")
    with pytest.raises(UserError, match=r"text.json is no JSON"):
        open_source("folder", "train", directory, parts=Parts(annotations="text.json"))
