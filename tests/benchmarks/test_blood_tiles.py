"""Which kinds of cells a tile shows, by the share of each box that lies in it."""

import cv2
import numpy as np

from benchmarks import blood_tiles


def test_shares_of_boxes_are_those_of_their_areas():
    boxes = np.array([[0, 0, 10, 10], [5, 15, 15, 35], [30, 0, 40, 10]], float)
    np.testing.assert_allclose(blood_tiles.shares(boxes, 0, 0, 20), [1, 0.25, 0])
    np.testing.assert_allclose(blood_tiles.shares(boxes, 10, 20, 20), [0, 0.375, 0])


def test_a_photograph_is_cut_into_twelve_tiles_with_what_each_shows():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    # Three quarters of a platelet lie in the first tile and a quarter in the second; four fifths of
    # a red cell in the last row's third tile, and a fifth in its last.
    boxes = [[0, 40 / 640, 80 / 480, 200 / 640], [400 / 480, 416 / 640, 440 / 480, 496 / 640]]
    found = list(blood_tiles.tiles({"image": image, "objects": {"bbox": boxes, "label": [2, 0]}}))
    assert len(found) == 12
    shown = {i: tile["labels_no_difficult"] for i, tile in enumerate(found) if tile["labels"]}
    hinted = {i: tile["labels"] for i, tile in enumerate(found) if tile["labels"]}
    assert hinted == {0: [2], 1: [2], 10: [0], 11: [0]}
    assert shown == {0: [2], 1: [], 10: [0], 11: []}
    pixels = cv2.imdecode(np.frombuffer(found[5]["image"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    part = image[160:320, 160:320].reshape(80, 2, 80, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(pixels, part, atol=0.51)
