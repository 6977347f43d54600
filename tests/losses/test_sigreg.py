"""LeJEPA's losses against formulas in float64, and the limits that they must have."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.sigreg import mean_view_prediction, sigreg

KEY = jax.random.key(3)


def f32(x):
    return jnp.asarray(x, jnp.float32)


def directions(dim, slices):
    drawn = np.asarray(jax.random.normal(KEY, (dim, slices)), np.float64)
    return drawn / np.sqrt(np.sum(drawn**2, axis=0))


def reference(x, slices, knots, limit):
    """The integral over all of [-limit, limit], with complex characteristic functions."""
    t = np.linspace(-limit, limit, 2 * knots - 1)
    normal = np.exp(-(t**2) / 2)
    total = 0.0
    for direction in directions(x.shape[1], slices).T:
        own = np.exp(1j * (x @ direction)[:, None] * t).mean(axis=0)
        total += np.trapezoid(np.abs(own - normal) ** 2 * normal, t) * len(x)
    return total / slices


def test_value_and_gradient_match_float64():
    x = np.random.default_rng(0).normal(size=(5, 3)) + 0.4
    options = {"slices": 4, "knots": 9, "limit": 2.5}
    value, gradient = jax.value_and_grad(sigreg)(f32(x), KEY, **options)
    np.testing.assert_allclose(value, reference(x, **options), rtol=1e-5)
    slopes = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-5
        rise = reference(x + step, **options) - reference(x - step, **options)
        slopes[place] = rise / 2e-5
    np.testing.assert_allclose(gradient, slopes, rtol=1e-3, atol=1e-6)


def test_collapsed_embeddings_cost_what_the_integral_says():
    """One point at 0: |1 - exp(-t^2/2)|^2 exp(-t^2/2) over the line, which has a closed form."""
    found = sigreg(jnp.zeros((10, 4)), KEY, slices=2, knots=400, limit=12.0)
    exact = math.sqrt(2 * math.pi) * (1 - 2 / math.sqrt(2) + 1 / math.sqrt(3))
    np.testing.assert_allclose(found, 10 * exact, rtol=1e-4)


def test_normal_samples_cost_less_than_any_other_and_as_much_as_chance_says():
    """The expectation is the integral of (1 - exp(-t^2)) exp(-t^2/2), whatever the batch."""
    rng = np.random.default_rng(1)
    normal = rng.normal(size=(4000, 6))
    values = [float(sigreg(f32(part), KEY)) for part in np.split(normal, 10)]
    t = np.linspace(-3, 3, 33)
    expected = np.trapezoid((1 - np.exp(-(t**2))) * np.exp(-(t**2) / 2), t)
    np.testing.assert_allclose(np.mean(values), expected, rtol=0.1)
    for other in (2 * normal, normal + 1, np.sign(normal), normal * [1, 1, 1, 1, 1, 0.05]):
        assert float(sigreg(f32(other), KEY)) > 4 * expected


def test_impossible_settings_are_told():
    for options in ({"slices": 0}, {"knots": 1}, {"limit": 0.0}):
        with pytest.raises(ValueError, match="computes nothing"):
            sigreg(jnp.ones((2, 2)), KEY, **options)


def test_prediction_and_its_gradient_match_float64():
    views = np.random.default_rng(2).normal(size=(4, 3, 5))
    center = (views[0] + views[1]) / 2
    value, gradient = jax.value_and_grad(mean_view_prediction)(f32(views))
    np.testing.assert_allclose(value, np.mean((views - center) ** 2), rtol=1e-5)
    # Of the mean itself too: each global view moves it by half.
    slopes = 2 * (views - center) / views.size
    slopes[:2] -= slopes.sum(axis=0) / 2
    np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-7)


def test_views_that_cannot_be_global_are_told():
    with pytest.raises(ValueError, match="2 of 1 views cannot be global"):
        mean_view_prediction(jnp.ones((1, 2, 2)))
