"""L-BFGS finds minima in blocks of steps, in a loop as without, and leaves what is uphill."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.optimizers.minimize import Minimizer, lbfgs

CURVATURES = np.geomspace(1, 300, 12)


def quadratic(point, curvatures):
    value = 0.5 * jnp.sum(curvatures * jnp.square(point - 1.0))
    return value, {"half": 0.5 * value, "other": jnp.max(point)}


@pytest.mark.parametrize("in_loop", [False, True])
def test_a_quadratic_is_minimised_in_few_steps(in_loop):
    minimizer = Minimizer(quadratic, lbfgs(12), in_loop=in_loop)
    constants = jnp.asarray(CURVATURES, jnp.float32)
    search = minimizer.start(jnp.zeros(12))
    search, first = minimizer.run(search, constants, 3)
    search, told = minimizer.run(search, constants, 60)
    assert int(search.steps) == 63
    assert told["half"].shape == (60,)
    np.testing.assert_allclose(first["half"][0], 0.25 * CURVATURES.sum(), rtol=1e-5)
    np.testing.assert_allclose(search.point, np.ones(12), atol=1e-3)


def test_the_first_step_is_no_longer_than_one():
    minimizer = Minimizer(quadratic, lbfgs(3), in_loop=False)
    constants = jnp.asarray(CURVATURES, jnp.float32)
    search, _ = minimizer.run(minimizer.start(jnp.zeros(12)), constants, 1)
    np.testing.assert_allclose(np.linalg.norm(search.point), 1, rtol=1e-5)
    assert np.all(np.asarray(search.point) > 0)


def test_steps_lead_downhill_where_the_function_is_not_convex():
    """Between the minima of a double well the second derivative is below 0."""

    def double_well(point, constants):
        value = jnp.sum(jnp.square(jnp.square(point) - 1))
        return value, {"value": value}

    minimizer = Minimizer(double_well, lbfgs(5), in_loop=False)
    search, told = minimizer.run(minimizer.start(jnp.array([0.1, -0.05])), jnp.zeros(()), 40)
    np.testing.assert_allclose(np.abs(search.point), 1, atol=1e-3)
    assert float(told["value"][-1]) < 1e-5 < float(told["value"][0])


def test_a_step_into_which_the_gradient_falls_is_not_remembered():
    """A pair of flat curvature leaves the metric as the pairs before it made it."""
    tx, curvatures = lbfgs(4), jnp.array([1.0, 4.0])
    points = [jnp.array([1.0, 1.0]), jnp.array([0.5, -0.4]), jnp.array([0.2, 0.3])]
    state = tx.init(points[0])
    for point in points:
        _, state = tx.update(curvatures * point, state, point)
    here = jnp.array([0.1, 0.2])
    gradient = curvatures * points[-1] - 2 * (here - points[-1])  # It falls where the point goes.
    found, _ = tx.update(gradient, state, here)
    # Of the two pairs before it, in two dimensions, the metric is that of the quadratic.
    moved = [np.float64(b) - np.float64(a) for a, b in itertools.pairwise(points)]
    expected = -np.float64(gradient)
    inverse = two_loops(moved, [np.float64(curvatures) * m for m in moved])
    np.testing.assert_allclose(found, inverse @ expected, rtol=1e-4)


def two_loops(moved, turned):
    """The inverse metric after some pairs, by the formula of BFGS."""
    inverse = np.eye(2) * (moved[-1] @ turned[-1]) / (turned[-1] @ turned[-1])
    for s, y in zip(moved, turned, strict=True):
        left = np.eye(2) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    return inverse


def test_constants_are_no_part_of_the_program():
    minimizer = Minimizer(quadratic, lbfgs(3), in_loop=False)
    start = minimizer.start(jnp.zeros(12))
    ends = [minimizer.run(start, jnp.full(12, scale), 2)[1]["half"][0] for scale in (1.0, 2.0)]
    np.testing.assert_allclose(ends, [3, 6])
    assert minimizer._step._cache_size() == 1
