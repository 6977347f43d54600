"""Regions and contours against loops over pixels, written from the benchmark's definitions."""

import itertools

import numpy as np
import pytest
from skimage.morphology import dilation, disk

from ssljax.metrics import contour_accuracy, region_similarity


def contour(mask):
    """Pixel by pixel, with the last row and column as the benchmark has them."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    for row, column in np.ndindex(mask.shape):
        around = [
            mask[row + down, column + right]
            for down, right in ((0, 1), (1, 0), (1, 1))
            if row + down < height and column + right < width
        ]
        found[row, column] = any(other != mask[row, column] for other in around)
    return found


def accuracy(said, true, reach):
    said, true = map(contour, (said, true))
    rates = [
        np.mean(dilation(b.astype(np.uint8), disk(reach))[a])
        for a, b in ((said, true), (true, said))
    ]
    return 2 * rates[0] * rates[1] / max(sum(rates), 1e-12)


def blobs(seed, height=40, width=61):
    """A few rectangles, some of which touch the border."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    for _ in range(4):
        top, left = rng.integers(-6, height), rng.integers(-6, width)
        bottom, right = top + rng.integers(4, 22), left + rng.integers(4, 22)
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] ^= True
    return mask


@pytest.mark.parametrize("tolerance", [0.008, 0.05])
def test_scores_match_loops_over_pixels(tolerance):
    reach = int(np.ceil(tolerance * np.sqrt(40**2 + 61**2)))
    for one, two in itertools.pairwise(map(blobs, range(5))):
        pairs = list(zip(one.ravel().tolist(), two.ravel().tolist(), strict=True))
        iou = sum(a and b for a, b in pairs) / sum(a or b for a, b in pairs)
        assert region_similarity(one, two) == pytest.approx(iou, abs=1e-12)
        expected = accuracy(one, two, reach)
        assert 0 < expected < 1
        assert contour_accuracy(one, two, tolerance) == pytest.approx(expected, abs=1e-12)


def test_a_contour_is_matched_up_to_the_tolerance_and_no_further():
    true = np.zeros((60, 80), bool)
    true[20:40, 20:40] = True  # The diagonal has 100 pixels: 0.03 of it are 3.
    near, far = np.roll(true, 3, axis=1), np.roll(true, 4, axis=1)
    assert contour_accuracy(near, true, 0.03) == 1
    assert 0.3 < contour_accuracy(far, true, 0.03) < 1
    assert region_similarity(near, true) == pytest.approx(17 / 23)


def test_nothing_is_right_where_nothing_is_and_wrong_where_something_is():
    empty, some = np.zeros((8, 9), bool), np.eye(8, 9, dtype=bool)
    for score in (region_similarity, contour_accuracy):
        assert score(empty, empty) == 1
        assert score(empty, some) == score(some, empty) == 0
        with pytest.raises(ValueError, match="Masks are"):
            score(empty, some.T)
