"""Losses of style and content against formulas in float64, their gradients against differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded import on_eight_devices

from ssljax import losses
from ssljax.ops.matting_laplacian import sparse_laplacian, whitened_windows

HEIGHT, WIDTH, CHANNELS, SEGMENTS = 8, 5, 3, 2


def f32(x):
    return jnp.asarray(x, jnp.float32)


@pytest.fixture(name="data", scope="module")
def _data():
    rng = np.random.default_rng(0)
    return {
        "maps": rng.normal(size=(HEIGHT, WIDTH, CHANNELS)),
        "target": rng.normal(size=(HEIGHT, WIDTH, CHANNELS)),
        "masks": rng.uniform(size=(SEGMENTS, HEIGHT, WIDTH)),
        "grams": rng.normal(size=(SEGMENTS, CHANNELS, CHANNELS)),
        "photograph": rng.uniform(size=(HEIGHT, WIDTH, CHANNELS)),
    }


def gram(maps, mask):
    """The Gram matrix of a segment, place by place."""
    total = np.zeros((CHANNELS, CHANNELS))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            there = mask[y, x] * maps[y, x]
            total += np.outer(there, there)
    return total / (HEIGHT * WIDTH * CHANNELS * mask.mean())


def cases(data):
    """Each loss as a function of the image: ours, and in float64."""
    masks, grams, photograph = data["masks"], data["grams"], data["photograph"]
    laplacian = sparse_laplacian(photograph).toarray()
    windows = jnp.asarray(whitened_windows(photograph))

    def variation(x):
        return 0.5 * sum(
            np.sum((x[y, c + 1] - x[y, c]) ** 2 + (x[y + 1, c] - x[y, c]) ** 2)
            for y in range(HEIGHT - 1)
            for c in range(WIDTH - 1)
        )

    def quadratic(x):
        flat = x.reshape(-1, CHANNELS)
        return sum(v @ laplacian @ v for v in flat.T)

    return {
        "content": (
            lambda x: losses.content_loss(x, f32(data["target"])),
            lambda x: np.mean((x - data["target"]) ** 2),
        ),
        "style": (
            lambda x: losses.style_loss(x, f32(grams[0])),
            lambda x: np.mean((gram(x, np.ones((HEIGHT, WIDTH))) - grams[0]) ** 2),
        ),
        "segments": (
            lambda x: losses.segmented_style_loss(x, f32(masks), f32(grams)),
            lambda x: sum(
                mask.mean() * np.mean((gram(x, mask) - target) ** 2)
                for mask, target in zip(masks, grams, strict=True)
            ),
        ),
        "variation": (losses.total_variation, variation),
        "photorealism": (lambda x: losses.photorealism_penalty(x, windows), quadratic),
    }


@pytest.mark.parametrize("name", ["content", "style", "segments", "variation", "photorealism"])
def test_value_and_gradient_match_float64(data, name):
    ours, reference = cases(data)[name]
    image = data["maps"]
    value, gradient = jax.value_and_grad(ours)(f32(image))
    np.testing.assert_allclose(value, reference(image), rtol=2e-5)
    rng, step = np.random.default_rng(1), 1e-5
    for _ in range(3):
        way = rng.normal(size=image.shape)
        slope = (reference(image + step * way) - reference(image - step * way)) / (2 * step)
        np.testing.assert_allclose(np.sum(np.asarray(gradient) * way), slope, rtol=2e-4)


@pytest.mark.parametrize("name", ["content", "style", "segments", "variation"])
def test_an_image_split_over_eight_devices_has_the_same_loss_and_gradient(data, name):
    ours = jax.jit(jax.value_and_grad(cases(data)[name][0]))
    image = f32(data["maps"])
    for alone, split in zip(ours(image), ours(*on_eight_devices([image])), strict=True):
        np.testing.assert_allclose(split, alone, rtol=1e-5, atol=1e-6)


def test_an_empty_segment_has_no_part(data):
    masks = f32(np.stack([data["masks"][0], np.zeros((HEIGHT, WIDTH))]))
    loss = functools.partial(losses.segmented_style_loss, masks=masks, targets=f32(data["grams"]))
    value, gradient = jax.value_and_grad(loss)(f32(data["maps"]))
    alone = losses.segmented_style_loss(f32(data["maps"]), masks[:1], f32(data["grams"][:1]))
    np.testing.assert_allclose(value, alone, rtol=1e-6)
    assert np.isfinite(gradient).all()


def test_a_local_affine_recolouring_is_not_penalised(data):
    """Each half has its own; the windows across the border see one colour alone."""
    photograph = data["photograph"].copy()
    photograph[:, 2:4] = 0.5
    windows = jnp.asarray(whitened_windows(photograph))
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(2, CHANNELS, CHANNELS))
    there = np.full(CHANNELS, 0.5)
    recoloured = photograph @ left
    recoloured[:, 3:] = (photograph[:, 3:] - there) @ right + there @ left
    small = losses.photorealism_penalty(f32(recoloured), windows)
    noise = rng.normal(size=recoloured.shape) * recoloured.std()
    assert float(losses.photorealism_penalty(f32(recoloured + noise), windows)) > 1
    assert abs(float(small)) < 1e-4


def test_gram_matrices_do_not_depend_on_the_size_of_the_image(data):
    small = losses.gram_matrix(f32(data["maps"]))
    large = losses.gram_matrix(f32(np.tile(data["maps"], (3, 2, 1))))
    np.testing.assert_allclose(large, small, rtol=1e-5, atol=1e-6)
