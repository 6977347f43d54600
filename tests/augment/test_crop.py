"""Crops, against an independent sampler, Pillow and slicing."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from ssljax.augment import (
    center_crop,
    crop_and_resize,
    random_crop_with_padding,
    random_resized_crop,
    sample_crop_boxes,
)

PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def sample_one_box(rng, height, width, scale, ratio):
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w
    return 0, 0, height, width


def sample_boxes(count, height, width, scale, ratio):
    sample = jax.jit(sample_crop_boxes, static_argnums=(1, 2, 3, 4))
    keys = jax.random.split(jax.random.key(0), count)
    return np.asarray(sample(keys, height, width, scale, ratio))


@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio"),
    [
        (48, 64, (0.08, 1.0), (3 / 4, 4 / 3)),
        (32, 32, (0.2, 0.6), (1 / 2, 3.0)),
        # One box in eight is the fallback here, the whole image.
        (32, 40, (0.9, 1.0), (3 / 4, 4 / 3)),
    ],
)
def test_boxes_are_distributed_as_the_sequential_sampler_has_them(height, width, scale, ratio):
    rng = np.random.default_rng(0)
    count = 5000
    ours = sample_boxes(count, height, width, scale, ratio)
    theirs = np.array([sample_one_box(rng, height, width, scale, ratio) for _ in range(count)])

    for statistic in (
        lambda b: b[:, 2] * b[:, 3],
        lambda b: b[:, 3] / b[:, 2],
        lambda b: b[:, 0],
        lambda b: b[:, 1],
    ):
        assert stats.ks_2samp(statistic(ours), statistic(theirs)).pvalue > 1e-3
    whole = [np.mean((b[:, 2] == height) & (b[:, 3] == width)) for b in (ours, theirs)]
    assert abs(whole[0] - whole[1]) < 4 * math.sqrt(2 * max(whole) / count) + 1e-9

    top, left, h, w = ours.T
    assert np.all((top >= 0) & (left >= 0) & (h > 0) & (w > 0))
    assert np.all((top + h <= height) & (left + w <= width))


def test_the_offset_reaches_both_ends_equally_often():
    boxes = sample_boxes(8000, 16, 16, (0.765625, 0.765625), (1.0, 1.0))
    assert np.all(boxes[:, 2:] == 14)
    for offsets in boxes[:, 0], boxes[:, 1]:
        counts = np.bincount(offsets, minlength=3)
        assert len(counts) == 3
        assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(20, 60, (0, 16, 20, 27)), (60, 20, (16, 0, 27, 20)), (20, 24, (0, 0, 20, 24))],
)
def test_without_a_fitting_box_the_central_one_is_taken(height, width, box):
    boxes = sample_boxes(8, height, width, (4.0, 4.0), (3 / 4, 4 / 3))
    np.testing.assert_array_equal(boxes, np.tile(box, (8, 1)))


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(9, 14), (24, 20), (64, 50)])
def test_the_crop_is_resized_as_pillow_does(method, size):
    rng = np.random.default_rng(1)
    images = rng.random((6, 37, 41, 3), dtype=np.float32)
    boxes = np.array(
        [
            (0, 0, 37, 41),
            (5, 7, 24, 20),
            (30, 33, 7, 8),
            (36, 0, 1, 1),
            (3, 2, 30, 3),
            (1, 1, 9, 39),
        ]
    )
    resize = jax.jit(crop_and_resize, static_argnums=(2, 3))
    got = resize(jnp.asarray(images), jnp.asarray(boxes, jnp.int32), size, method)

    for image, (top, left, h, w), result in zip(images, boxes, np.asarray(got), strict=True):
        for channel in range(3):
            plane = Image.fromarray(image[..., channel]).crop((left, top, left + w, top + h))
            expected = np.asarray(plane.resize((size[1], size[0]), PILLOW[method]))
            np.testing.assert_allclose(result[..., channel], expected.clip(0, 1), atol=2e-5)


def test_a_crop_at_its_own_size_is_copied_exactly():
    images = jax.random.uniform(jax.random.key(0), (2, 20, 20, 3))
    boxes = jnp.array([[3, 5, 11, 11], [9, 9, 11, 11]], jnp.int32)
    for method in ("bilinear", "bicubic"):
        got = crop_and_resize(images, boxes, 11, method)
        np.testing.assert_array_equal(got[0], images[0, 3:14, 5:16])
        np.testing.assert_array_equal(got[1], images[1, 9:, 9:])


def test_random_resized_crop_cuts_the_boxes_it_samples():
    keys = jax.random.split(jax.random.key(3), 4)
    images = jax.random.uniform(jax.random.key(0), (4, 20, 26, 1))
    ranges = (0.3, 0.9), (0.5, 2.0)
    boxes = jax.jit(lambda keys: sample_crop_boxes(keys, 20, 26, *ranges))(keys)
    crop = jax.jit(random_resized_crop, static_argnums=(2, 3, 4, 5, 6))
    got = crop(keys, images, (8, 12), *ranges, "bicubic", False)
    resize = jax.jit(crop_and_resize, static_argnums=(2, 3, 4))
    expected = resize(images, boxes, (8, 12), "bicubic", False)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert len({tuple(box) for box in np.asarray(boxes)}) == 4


def test_the_padded_crop_takes_every_window_equally_often():
    image = np.arange(1.0, 31.0, dtype=np.float32).reshape(5, 6, 1)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    windows = [padded[i : i + 5, j : j + 6] for i in range(3) for j in range(3)]
    keys = jax.random.split(jax.random.key(0), 1800)
    got = jax.jit(random_crop_with_padding, static_argnums=2)(
        keys, jnp.tile(jnp.asarray(image)[None], (1800, 1, 1, 1)), 1
    )
    matches = np.stack([np.all(np.asarray(got) == w[None], axis=(1, 2, 3)) for w in windows])
    assert np.all(matches.sum(axis=0) == 1)
    assert stats.chisquare(matches.sum(axis=1)).pvalue > 1e-3


def test_no_padding_is_no_operation():
    images = jnp.ones((1, 4, 4, 1))
    assert random_crop_with_padding(jax.random.split(jax.random.key(0), 1), images, 0) is images


@pytest.mark.parametrize(("size", "top"), [(10, 0), (9, 0), (8, 1), (7, 2), (6, 2)])
def test_center_crop_starts_where_torchvision_has_it(size, top):
    images = jnp.arange(100.0).reshape(1, 10, 10, 1)
    got = center_crop(images, size)
    np.testing.assert_array_equal(got, images[:, top : top + size, top : top + size])


def test_impossible_arguments_are_refused():
    keys, images = jax.random.split(jax.random.key(0), 2), jnp.zeros((2, 8, 8, 3))
    with pytest.raises(ValueError, match="scale"):
        random_resized_crop(keys, images, 4, scale=(0.5, 0.1))
    with pytest.raises(ValueError, match="ratio"):
        random_resized_crop(keys, images, 4, ratio=(0.0, 1.0))
    with pytest.raises(ValueError, match="size"):
        random_resized_crop(keys, images, 0)
    with pytest.raises(ValueError, match="padding"):
        random_crop_with_padding(keys, images, -1)
    with pytest.raises(ValueError, match="does not fit"):
        center_crop(images, 9)
