"""The loss of predictive coding against a float64 computation by loops, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import losses

BATCH, SIDE, DIM = 3, 4, 5


def grids(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, BATCH, SIDE, SIDE, DIM)).astype(np.float32)


def reference(predictions, targets, offset):
    """One prediction at a time, its patch told from every patch of every image."""
    candidates = targets.reshape(-1, DIM).astype(np.float64)
    terms = []
    for image, row, column in np.ndindex(BATCH, SIDE - offset, SIDE):
        logits = candidates @ predictions[image, row, column].astype(np.float64)
        place = np.ravel_multi_index((image, row + offset, column), (BATCH, SIDE, SIDE))
        terms.append(np.log(np.sum(np.exp(logits))) - logits[place])
    return np.mean(terms)


@pytest.mark.parametrize("offset", [1, 3])
def test_value_and_gradient_are_those_of_the_formula(offset):
    said, there = grids()
    said = said[:, : SIDE - offset]
    loss = jax.jit(jax.value_and_grad(losses.predictive_coding, (0, 1)), static_argnums=2)
    value, slopes = loss(jnp.asarray(said), jnp.asarray(there), offset)
    np.testing.assert_allclose(value, reference(said, there, offset), rtol=1e-5)
    step = 1e-5
    for which, index in (
        (0, (0, 0, 2, 1)),
        (0, (2, 0, 0, 4)),
        (1, (1, 0, 3, 2)),
        (1, (1, 3, 1, 0)),
    ):
        up, down = ([said.astype(np.float64), there.astype(np.float64)] for _ in range(2))
        up[which][index] += step
        down[which][index] -= step
        expected = (reference(*up, offset) - reference(*down, offset)) / (2 * step)
        np.testing.assert_allclose(slopes[which][index], expected, rtol=1e-3, atol=1e-6)


def test_predictions_that_are_far_nearer_to_their_patch_than_to_all_others_cost_nothing():
    there = jnp.eye(BATCH * SIDE * SIDE).reshape(BATCH, SIDE, SIDE, -1)
    assert losses.predictive_coding(50 * there[:, 2:], there, 2) < 1e-6
    # One place aside in the same image is as wrong as another image.
    assert losses.predictive_coding(50 * jnp.roll(there, 1, axis=2)[:, 2:], there, 2) > 40
    assert losses.predictive_coding(50 * jnp.roll(there, 1, axis=0)[:, 2:], there, 2) > 40


def test_what_is_no_grid_above_another_is_refused():
    said, there = map(jnp.asarray, grids())
    with pytest.raises(ValueError, match="one shape"):
        losses.predictive_coding(said, there, 1)
    for offset in (0, SIDE):
        with pytest.raises(ValueError, match="offset"):
            losses.predictive_coding(said, there, offset)
