"""I-JEPA's predictor: what each prediction depends on, and what it does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models.heads.latent_predictor import LatentPredictor

GRID, DIM = (3, 4), 6
NETWORK = LatentPredictor(out_dim=DIM, dim=8, depth=1, heads=2)
PLACES = jnp.array([[0, 7, 2], [4, 5, 11]])
PRESENT = jnp.array([[True, True, False], [True, True, True]])
TARGETS = jnp.array([[[3, 8], [8, 1]], [[3, 8], [6, 10]]])
ASKED = jnp.array([[[True, True], [True, False]], [[True, True], [True, True]]])


@pytest.fixture(scope="module")
def predict():
    tokens = jax.random.normal(jax.random.key(0), (2, 3, DIM))
    shapes = jax.eval_shape(
        lambda key: NETWORK.init(key, tokens, PLACES, PRESENT, TARGETS, ASKED, GRID, False),
        jax.random.key(1),
    )
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: jnp.float32(0.5 * rng.normal(size=x.shape)), shapes)

    @jax.jit
    def call(tokens=tokens, places=PLACES, targets=TARGETS):
        return NETWORK.apply(params, tokens, places, PRESENT, targets, ASKED, GRID, train=False)

    return tokens, lambda **changes: np.asarray(call(**changes))


def test_only_what_is_present_is_of_account(predict):
    tokens, call = predict
    found = call()
    assert found.shape == (2, 2, 2, DIM)
    other = call(tokens=tokens.at[0, 2].add(5.0), targets=TARGETS.at[0, 1, 1].set(9))
    np.testing.assert_allclose(other[0, 0], found[0, 0], atol=1e-5)
    np.testing.assert_allclose(other[0, 1, 0], found[0, 1, 0], atol=1e-5)
    np.testing.assert_allclose(other[1], found[1], atol=1e-5)
    changed = call(tokens=tokens.at[0, 1].multiply(-1.0))
    assert np.all(np.abs(changed - found)[0].max(axis=-1) > 1e-4)


def test_blocks_are_predicted_apart_and_places_matter(predict):
    _, call = predict
    found = call()
    moved = call(targets=TARGETS.at[1, 1].set(jnp.array([0, 9])))
    np.testing.assert_allclose(moved[1, 0], found[1, 0], atol=1e-5)
    assert np.all(np.abs(moved - found)[1, 1].max(axis=-1) > 1e-4)
    # The two targets of a block see each other.
    beside = call(targets=TARGETS.at[1, 0, 1].set(9))
    assert np.abs(beside - found)[1, 0, 0].max() > 1e-5
    elsewhere = call(places=PLACES.at[1, 0].set(9))
    assert np.all(np.abs(elsewhere - found)[1].max(axis=-1) > 1e-5)
