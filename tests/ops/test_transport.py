"""Sinkhorn's algorithm against the iteration in float64 and linear programming."""

import jax.numpy as jnp
import numpy as np
import plans
import pytest
from plans import f32, optimal_plan, reference_plan

from ssljax.ops.transport import sinkhorn_knopp, sinkhorn_plan, sinkhorn_potentials


@pytest.fixture(name="problem")
def _problem():
    return plans.problem()


@pytest.mark.parametrize("iterations", [1, 3, 20])
def test_plan_matches_the_iteration_in_float64(problem, iterations):
    plan = sinkhorn_plan(*map(f32, problem), epsilon=0.1, iterations=iterations)
    expected = reference_plan(*problem, 0.1, iterations)
    np.testing.assert_allclose(plan, expected, rtol=1e-4, atol=1e-7)


def test_plan_has_the_given_sums(problem):
    cost, a, b = problem
    plan = sinkhorn_plan(f32(cost), f32(a), f32(b), epsilon=0.1, iterations=1)
    np.testing.assert_allclose(plan.sum(axis=0), b, rtol=1e-5)
    plan = sinkhorn_plan(f32(cost), f32(a), f32(b), epsilon=0.1, iterations=200)
    np.testing.assert_allclose(plan.sum(axis=0), b, rtol=1e-5)
    np.testing.assert_allclose(plan.sum(axis=1), a, rtol=1e-4)


def test_small_epsilon_is_the_linear_programme(problem):
    cost, a, b = problem
    plan = sinkhorn_plan(f32(cost), f32(a), f32(b), epsilon=0.002, iterations=2000)
    np.testing.assert_allclose(plan, optimal_plan(cost, a, b), atol=2e-3)


def test_large_epsilon_is_the_independent_plan(problem):
    cost, a, b = problem
    plan = sinkhorn_plan(f32(cost), f32(a), f32(b), epsilon=1e4, iterations=5)
    np.testing.assert_allclose(plan, np.outer(a, b), rtol=1e-3)


def test_places_without_mass_get_none(problem):
    cost = f32(problem[0])
    a, b = f32([0.5, 0.0, 0.25, 0.25]), f32([0.0, 0.2, 0.2, 0.2, 0.2, 0.2])
    plan = sinkhorn_plan(cost, a, b, epsilon=0.1, iterations=50)
    assert not np.any(plan[1])
    assert not np.any(plan[:, 0])
    np.testing.assert_allclose(plan.sum(axis=1), a, atol=1e-5)


def test_columns_in_blocks_equal_columns_in_one(problem):
    kernel = f32(-problem[0] / 0.1)
    log_a, log_b = jnp.log(f32(problem[1])), jnp.log(f32(problem[2]))
    whole_row, (whole_column,) = sinkhorn_potentials([kernel], log_a, [log_b], 7)
    row, columns = sinkhorn_potentials(
        [kernel[:, :2], kernel[:, 2:]], log_a, [log_b[:2], log_b[2:]], 7
    )
    np.testing.assert_allclose(row, whole_row, rtol=1e-5)
    np.testing.assert_allclose(np.concatenate(columns), whole_column, rtol=1e-5)


def test_impossible_settings_are_refused(problem):
    arguments = list(map(f32, problem))
    with pytest.raises(ValueError, match="iteration"):
        sinkhorn_plan(*arguments, epsilon=0.1, iterations=0)
    with pytest.raises(ValueError, match="epsilon"):
        sinkhorn_plan(*arguments, epsilon=0.0, iterations=3)


def reference_codes(scores, epsilon, iterations):
    """Sinkhorn on the matrix itself: prototypes to 1/K, samples to 1/B, at last codes of sum 1."""
    matrix = np.exp(scores.T / epsilon)
    matrix /= matrix.sum()
    prototypes, batch = matrix.shape
    for _ in range(iterations):
        for row in range(prototypes):
            matrix[row] /= matrix[row].sum() * prototypes
        for column in range(batch):
            matrix[:, column] /= matrix[:, column].sum() * batch
    return (matrix * batch).T


@pytest.fixture
def scores():
    return np.random.default_rng(0).uniform(-1, 1, size=(8, 5))


@pytest.mark.parametrize("iterations", [1, 3, 10])
@pytest.mark.parametrize("epsilon", [0.05, 0.5])
def test_codes_match_float64(scores, epsilon, iterations):
    codes = sinkhorn_knopp(f32(scores), epsilon, iterations)
    expected = reference_codes(scores, epsilon, iterations)
    np.testing.assert_allclose(codes, expected, rtol=2e-4, atol=1e-6)


def test_defaults_are_those_of_swav(scores):
    np.testing.assert_allclose(
        sinkhorn_knopp(f32(scores)), reference_codes(scores, 0.05, 3), rtol=2e-4, atol=1e-6
    )


def test_samples_sum_to_one_at_once_and_prototypes_balance_in_the_end(scores):
    once = sinkhorn_knopp(f32(scores), iterations=1)
    np.testing.assert_allclose(once.sum(axis=1), 1.0, rtol=1e-5)
    converged = sinkhorn_knopp(f32(scores), epsilon=0.5, iterations=200)
    np.testing.assert_allclose(converged.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(converged.sum(axis=0), 8 / 5, rtol=1e-4)


def test_rows_that_only_fill_up_take_no_part(scores):
    present = np.array([True, False, True, True, False, True, True, True])
    codes = sinkhorn_knopp(f32(scores), 0.5, 3, present=jnp.asarray(present))
    expected = reference_codes(scores[present], 0.5, 3)
    np.testing.assert_allclose(np.asarray(codes)[present], expected, rtol=2e-4, atol=1e-6)
    assert not np.any(np.asarray(codes)[~present])


def test_extreme_scores_stay_finite(scores):
    # exp(scores / epsilon) reaches e^1000 here.
    codes = np.asarray(sinkhorn_knopp(f32(scores), epsilon=0.001, iterations=3))
    assert np.all(np.isfinite(codes))
    np.testing.assert_allclose(codes.sum(axis=1), 1.0, rtol=1e-3)


def test_equal_scores_give_uniform_codes():
    codes = sinkhorn_knopp(jnp.full((4, 5), 0.3))
    np.testing.assert_allclose(codes, 0.2, rtol=1e-5)


def test_codes_do_not_mind_a_shift_of_a_sample_or_a_prototype(scores):
    rng = np.random.default_rng(1)
    shifted = scores + rng.normal(size=(8, 1)) + rng.normal(size=(1, 5))
    np.testing.assert_allclose(
        sinkhorn_knopp(f32(shifted), epsilon=0.5, iterations=100),
        sinkhorn_knopp(f32(scores), epsilon=0.5, iterations=100),
        rtol=1e-3,
    )


def test_queue_takes_part_and_only_the_batch_comes_back(scores):
    queue = np.random.default_rng(2).uniform(-1, 1, size=(12, 5))
    codes = sinkhorn_knopp(f32(scores), queue_scores=f32(queue))
    together = reference_codes(np.concatenate([queue, scores]), 0.05, 3)
    np.testing.assert_allclose(codes, together[-8:], rtol=2e-4, atol=1e-6)
    assert np.max(np.abs(codes - sinkhorn_knopp(f32(scores)))) > 0.01
