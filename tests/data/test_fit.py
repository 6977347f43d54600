"""Pixels, masks and boxes come to the same place."""

import numpy as np
import pytest

from ssljax.data.fit import RESIZES, fit_boxes, fit_mask, fit_pixels, place


def test_pad_shows_the_whole_image_in_the_middle():
    pixels = np.full((10, 20, 3), 200, np.uint8)
    fitted = fit_pixels(pixels, place(10, 20, 40, "pad"), 40)
    assert (fitted[10:30] == 200).all()
    assert not fitted[:10].any()
    assert not fitted[30:].any()
    tall = fit_pixels(pixels.transpose(1, 0, 2), place(20, 10, 40, "pad"), 40)
    np.testing.assert_array_equal(tall, fitted.transpose(1, 0, 2))


def test_a_thin_image_keeps_a_pixel():
    assert fit_pixels(np.ones((1, 1000, 1), np.uint8), place(1, 1000, 8, "pad"), 8).sum() == 8


@pytest.mark.parametrize("resize", ["short_side", "exact", "pad"])
@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (12, 20), (33, 33)])
def test_a_rectangle_lies_at_one_place_in_image_mask_and_box(resize, shape):
    height, width = shape
    top, left, bottom, right = height // 4, width // 4, 3 * height // 4, 3 * width // 4
    mask = np.zeros(shape, np.int32)
    mask[top:bottom, left:right] = 1
    pixels = (255 * mask).astype(np.uint8)[:, :, None]
    placement = place(height, width, 32, resize)
    seen = fit_pixels(pixels, placement, 32)[..., 0]
    moved = fit_mask(mask, placement, 32, void=-1)
    box = fit_boxes(np.array([[top, left, bottom, right]], np.float64), placement, 32)[0]
    # Where pixels are sure of themselves, the mask agrees.
    assert (moved[seen >= 200] == 1).all()
    assert (moved[(seen <= 55) & (moved != -1)] == 0).all()
    rows, columns = np.nonzero(moved == 1)
    found = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    # A nearest pixel lies within half a pixel of either grid.
    larger = max(1.0, placement.to_height / placement.height, placement.to_width / placement.width)
    np.testing.assert_allclose(box, found, atol=larger)


def test_a_mask_is_padded_with_the_void():
    moved = fit_mask(np.zeros((4, 8), np.int32), place(4, 8, 8, "pad"), 8, void=-1)
    assert (moved[:2] == -1).all()
    assert (moved[2:6] == 0).all()
    assert (moved[6:] == -1).all()


def test_a_mask_gets_no_new_values():
    mask = np.random.default_rng(0).choice([0, 7, 200], (37, 53)).astype(np.int32)
    for size in (16, 100):
        for resize in ("short_side", "exact"):
            moved = fit_mask(mask, place(37, 53, size, resize), size, void=-1)
            assert set(np.unique(moved)) <= {0, 7, 200}


def test_a_mask_of_the_right_size_stays():
    mask = np.arange(64, dtype=np.int32).reshape(8, 8)
    for resize in RESIZES:
        np.testing.assert_array_equal(fit_mask(mask, place(8, 8, 8, resize), 8, void=-1), mask)


def test_a_box_that_is_cut_off_is_empty():
    # The centre square of 10x30 pixels begins at column 10.
    boxes = np.array([[0.0, 0.0, 10.0, 9.0], [2.0, 5.0, 6.0, 15.0]])
    moved = fit_boxes(boxes, place(10, 30, 20, "short_side"), 20)
    assert moved[0, 1] == moved[0, 3] == 0
    np.testing.assert_array_equal(moved[1], [4, 0, 12, 10])
