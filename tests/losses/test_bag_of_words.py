"""The divergence of predicted words from those of the image, against float64."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from ssljax.losses import bag_of_words


def test_value_and_gradient_are_those_of_the_divergence():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 6))
    targets = rng.dirichlet(np.full(6, 0.3), 4)
    targets[1] = np.eye(6)[2]  # Words that are not there.
    predicted = special.softmax(logits, axis=1)
    expected = special.rel_entr(targets, predicted).sum(1).mean()
    value, slope = jax.value_and_grad(bag_of_words)(jnp.asarray(logits), jnp.asarray(targets))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(slope, (predicted - targets) / 4, atol=1e-6)


def test_targets_get_no_gradient_and_a_perfect_prediction_costs_nothing():
    targets = jax.nn.softmax(jnp.asarray(np.random.default_rng(1).normal(size=(3, 5))))
    np.testing.assert_allclose(bag_of_words(jnp.log(targets), targets), 0.0, atol=1e-6)
    slope = jax.grad(bag_of_words, argnums=1)(jnp.zeros((3, 5)), targets)
    np.testing.assert_array_equal(slope, 0.0)
