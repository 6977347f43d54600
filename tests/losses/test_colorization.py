"""The losses of colours against loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.colorization import color_classification, color_regression


def f32(x):
    return jnp.asarray(x, jnp.float32)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(4, 3, 2, 6))
    targets = rng.dirichlet(np.full(6, 0.3), size=(4, 3, 2))
    return logits, targets, rng.uniform(0.2, 5, (4, 6)), np.array([True, False, True, True])


def reference(logits, targets, weights, mask):
    total, count = 0.0, 0
    for image, row, column in np.ndindex(logits.shape[:3]):
        if mask[image]:
            x, p = logits[image, row, column], targets[image, row, column]
            log_shares = x - x.max() - np.log(np.sum(np.exp(x - x.max())))
            total -= weights[image, np.argmax(p)] * np.sum(p * log_shares)
            count += 1
    return total / count


def test_classification_matches_float64(data):
    value = color_classification(*map(f32, data[:3]), jnp.asarray(data[3]))
    np.testing.assert_allclose(value, reference(*data), rtol=1e-5)


def test_a_weight_multiplies_the_gradient_of_its_place(data):
    logits, targets, weights = map(f32, data[:3])
    mask = jnp.asarray(data[3])
    plain = jax.grad(color_classification)(logits, targets, jnp.ones_like(weights), mask)
    weighted = jax.grad(color_classification)(logits, targets, weights, mask)
    rarest = np.argmax(data[1], axis=-1)
    factors = np.take_along_axis(data[2][:, None, None], rarest[..., None], axis=-1)
    np.testing.assert_allclose(weighted, plain * factors, rtol=1e-4, atol=1e-8)
    # Those of an image that does not count are 0, and the logits themselves are not touched.
    assert not np.any(np.asarray(weighted)[1])
    best = color_classification(f32(np.log(data[1] + 1e-9)), targets, weights, mask)
    flat = color_classification(0 * logits, targets, weights, mask)
    assert best < flat


def test_regression_matches_float64(data):
    mask = data[3]
    a, b = data[0], data[1]
    expected = 0.5 * np.mean(np.sum((a - b) ** 2, axis=-1)[mask])
    np.testing.assert_allclose(color_regression(f32(a), f32(b), jnp.asarray(mask)), expected, 1e-5)


def test_without_an_image_that_counts_there_is_no_loss_and_no_nan(data):
    logits, targets, weights = map(f32, data[:3])
    nothing = jnp.zeros(4, bool)
    value, slope = jax.value_and_grad(color_classification)(logits, targets, weights, nothing)
    assert float(value) == 0.0
    np.testing.assert_array_equal(slope, 0.0)
    assert float(color_regression(logits, targets, nothing)) == 0.0
