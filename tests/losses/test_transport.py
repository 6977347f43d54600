"""Distances of transport against SciPy: linear programming and the exact distance on the line."""

import jax
import jax.numpy as jnp
import numpy as np
import plans
import pytest
from plans import f32, optimal_plan, reference_plan
from scipy.stats import wasserstein_distance

from ssljax.losses.transport import sinkhorn_distance, wasserstein_1d


@pytest.fixture(name="problem")
def _problem():
    return plans.problem()


def test_small_epsilon_is_the_cost_of_the_linear_programme(problem):
    cost, a, b = problem
    distance = sinkhorn_distance(f32(cost), f32(a), f32(b), epsilon=0.002, iterations=2000)
    np.testing.assert_allclose(distance, np.sum(optimal_plan(cost, a, b) * cost), rtol=1e-3)


def test_entropy_never_makes_transport_cheaper(problem):
    cost, a, b = problem
    optimum = np.sum(optimal_plan(cost, a, b) * cost)
    distances = [
        float(sinkhorn_distance(*map(f32, problem), epsilon=epsilon, iterations=1000))
        for epsilon in (0.01, 0.1, 1.0)
    ]
    assert optimum - 1e-5 <= distances[0] < distances[1] < distances[2]


def test_places_without_mass_leave_the_gradient_finite(problem):
    cost = f32(problem[0])
    a, b = f32([0.5, 0.0, 0.25, 0.25]), f32([0.0, 0.2, 0.2, 0.2, 0.2, 0.2])

    def loss(cost):
        return sinkhorn_distance(cost, a, b, epsilon=0.1, iterations=50)

    assert np.all(np.isfinite(jax.grad(loss)(cost)))


@pytest.mark.parametrize("iterations", [2, 30])
def test_gradient_matches_finite_differences(problem, iterations):
    cost, a, b = problem

    def reference(cost):
        return np.sum(reference_plan(cost, a, b, 0.1, iterations) * cost)

    def loss(cost):
        return sinkhorn_distance(cost, f32(a), f32(b), epsilon=0.1, iterations=iterations)

    gradient = jax.grad(loss)(f32(cost))
    expected = np.zeros_like(cost)
    for index in np.ndindex(*cost.shape):
        step = np.zeros_like(cost)
        step[index] = 1e-5
        expected[index] = (reference(cost + step) - reference(cost - step)) / 2e-5
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)


def test_impossible_settings_are_refused(problem):
    with pytest.raises(ValueError, match="epsilon"):
        sinkhorn_distance(*map(f32, problem), epsilon=0.0, iterations=3)


@pytest.mark.parametrize(("n", "m"), [(7, 7), (5, 8), (1, 6), (6, 4), (9, 3)])
def test_distance_on_the_line_matches_scipy(n, m):
    rng = np.random.default_rng(n * 10 + m)
    x, y = rng.normal(size=n), 2 * rng.normal(size=m) + 1
    value = wasserstein_1d(f32(x), f32(y))
    np.testing.assert_allclose(value, wasserstein_distance(x, y), rtol=1e-5)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize(("n", "m"), [(4, 4), (3, 5)])
def test_distance_of_any_order_matches_the_linear_programme(n, m, p):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=n), rng.normal(size=m)
    cost = np.abs(x[:, None] - y[None, :]) ** p
    optimum = np.sum(optimal_plan(cost, np.full(n, 1 / n), np.full(m, 1 / m)) * cost)
    np.testing.assert_allclose(wasserstein_1d(f32(x), f32(y), p), optimum ** (1 / p), rtol=1e-5)


def test_a_shift_is_the_distance_of_every_order():
    x = f32(np.random.default_rng(0).normal(size=9))
    for p in (1.0, 1.5, 2.0):
        np.testing.assert_allclose(wasserstein_1d(x, x[::-1] + 2, p), 2.0, rtol=1e-5)


def test_sinkhorn_agrees_with_the_line():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=5), rng.normal(size=5)
    cost = f32(np.abs(x[:, None] - y[None, :]))
    fifth = jnp.full(5, 0.2)
    distance = sinkhorn_distance(cost, fifth, fifth, epsilon=0.01, iterations=500)
    np.testing.assert_allclose(distance, wasserstein_1d(f32(x), f32(y)), rtol=0.02)


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_gradient_on_the_line(p):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=4), rng.normal(size=6)
    gradient = jax.grad(wasserstein_1d)(f32(x), f32(y), p)
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-2
        rise = wasserstein_1d(f32(x + step), f32(y), p) - wasserstein_1d(f32(x - step), f32(y), p)
        np.testing.assert_allclose(gradient[i], rise / 2e-2, rtol=2e-2, atol=1e-3)


def test_equal_samples_have_distance_and_gradient_zero():
    x = f32(np.random.default_rng(0).normal(size=6))
    for p in (1.0, 2.0):
        value, gradient = jax.value_and_grad(wasserstein_1d)(x, x[::-1], p)
        assert float(value) == 0.0
        assert not np.any(gradient)


def test_order_below_one_is_refused():
    with pytest.raises(ValueError, match="order"):
        wasserstein_1d(jnp.ones(3), jnp.ones(3), 0.5)
