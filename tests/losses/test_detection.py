"""The losses of a detector, value and gradient, against loops and differences in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import center_ness_loss, focal_loss, giou_loss

SHAPE = (3, 5)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def f32(x):
    return jnp.asarray(x, jnp.float32)


def slope(function, x, step=1e-6):
    """The gradient by central differences."""
    found = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        moved = x.copy()
        moved[place] += step
        above = function(moved)
        moved[place] -= 2 * step
        found[place] = (above - function(moved)) / (2 * step)
    return found


def agree(loss, reference, x, rtol=1e-4):
    """Both values and both gradients are the same, and neither is 0."""
    value, gradient = jax.value_and_grad(loss)(f32(x))
    np.testing.assert_allclose(value, reference(x), rtol=1e-5)
    expected = slope(reference, x)
    np.testing.assert_allclose(gradient, expected, rtol=rtol, atol=1e-5)
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 0.5)])
def test_focal_loss(rng, alpha, gamma):
    logits, targets = 3 * rng.normal(size=(*SHAPE, 4)), rng.integers(-1, 4, SHAPE)

    def reference(logits):
        total = 0.0
        for row, column, number in np.ndindex(logits.shape):
            p = 1 / (1 + np.exp(-logits[row, column, number]))
            if targets[row, column] == number:
                total -= alpha * (1 - p) ** gamma * np.log(p)
            else:
                total -= (1 - alpha) * p**gamma * np.log(1 - p)
        return total / np.sum(targets >= 0)

    agree(lambda x: focal_loss(x, jnp.asarray(targets), alpha, gamma), reference, logits)


def test_focal_loss_of_an_empty_image_is_the_sum_and_finite_far_out():
    nothing = jnp.full((1, 2), -1)
    logits = jnp.array([[[0.0], [200.0]]])
    value, gradient = jax.value_and_grad(focal_loss)(logits, nothing)
    np.testing.assert_allclose(value, 0.75 * (0.25 * np.log(2) + 200), rtol=1e-6)
    assert np.isfinite(gradient).all()
    sure = focal_loss(jnp.full((1, 1, 1), -200.0), jnp.array([[0]]))
    np.testing.assert_allclose(sure, 0.25 * 200, rtol=1e-6)


def drawn(rng):
    corners = rng.uniform(0, 20, (*SHAPE, 2))
    return np.concatenate([corners, corners + rng.uniform(2, 20, (*SHAPE, 2))], axis=2)


def test_giou_loss(rng):
    predictions, targets = drawn(rng), drawn(rng)
    weights = rng.uniform(0, 1, SHAPE) * (rng.random(SHAPE) < 0.7)

    def reference(predictions):
        total = 0.0
        for place in np.ndindex(SHAPE):
            a, b = predictions[place], targets[place]
            low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
            both = np.prod(np.maximum(high - low, 0))
            union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both
            hull = np.prod(np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2]))
            total += weights[place] * (1 - both / union + (hull - union) / hull)
        return total / weights.sum()

    agree(lambda x: giou_loss(x, f32(targets), f32(weights)), reference, predictions)
    untouched = jax.grad(giou_loss, argnums=(1, 2))(f32(predictions), f32(targets), f32(weights))
    assert not any(np.any(x) for x in untouched)


def test_giou_loss_without_a_box_is_nothing(rng):
    boxes = f32(drawn(rng)).at[0, 0].set(jnp.inf)  # What does not count may be anything.
    value, gradient = jax.value_and_grad(giou_loss)(boxes, f32(drawn(rng)), jnp.zeros(SHAPE))
    assert float(value) == 0.0
    assert not np.any(np.asarray(gradient))
    some = jnp.zeros(SHAPE).at[1].set(1.0)
    gradient = np.asarray(jax.grad(giou_loss)(boxes, f32(drawn(rng)), some))
    assert np.isfinite(gradient).all()
    assert np.any(gradient[1])
    assert not np.any(gradient[0])


def test_center_ness_loss(rng):
    logits, targets = 2 * rng.normal(size=SHAPE), rng.random(SHAPE)
    mask = rng.random(SHAPE) < 0.6

    def reference(logits):
        p = 1 / (1 + np.exp(-logits))
        return -np.mean((targets * np.log(p) + (1 - targets) * np.log(1 - p))[mask])

    agree(lambda x: center_ness_loss(x, f32(targets), jnp.asarray(mask)), reference, logits)
    nothing = center_ness_loss(f32(logits), f32(targets), jnp.zeros(SHAPE, bool))
    assert float(nothing) == 0.0
