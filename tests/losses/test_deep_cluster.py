"""The loss of clusters, against plain NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from ssljax.losses import deep_cluster

CLUSTERS = 5


def reference_loss(scores, assignments, temperature):
    terms = []
    for crop in scores:
        for row, cluster in zip(crop / temperature, assignments, strict=True):
            if cluster >= 0:
                terms.append(np.log(np.sum(np.exp(row))) - row[cluster])
    return np.mean(terms)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_loss_is_the_formula_in_float64(temperature):
    rng = np.random.default_rng(2)
    scores = rng.uniform(-1, 1, size=(3, 8, CLUSTERS))
    assignments = rng.integers(-1, CLUSTERS, 8)
    assert -1 in assignments
    loss = deep_cluster(jnp.asarray(scores), jnp.asarray(assignments), temperature)
    np.testing.assert_allclose(loss, reference_loss(scores, assignments, temperature), rtol=1e-6)


def test_without_clusters_there_is_nothing_to_learn():
    scores = jnp.asarray(np.random.default_rng(3).normal(size=(2, 4, CLUSTERS)), jnp.float32)
    value, gradient = jax.value_and_grad(deep_cluster)(scores, jnp.full(4, -1))
    assert value == 0.0
    assert not np.any(gradient)


def test_crops_of_other_images_are_told():
    with pytest.raises((ValueError, TypeCheckError), match=r"one shape|assignments"):
        deep_cluster([jnp.zeros((3, 4))], jnp.zeros(2, jnp.int32))
    with pytest.raises(ValueError, match="no crop"):
        deep_cluster([], jnp.zeros(2, jnp.int32))
