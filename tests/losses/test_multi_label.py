"""The cross-entropies of several classes against a loop in float64."""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.losses import multi_label_cross_entropy

LABELS = np.array([[1, 0, -1], [0, 0, 1], [-1, -1, -1], [-1, 1, 1]])
LOGITS = 3 * np.random.default_rng(0).normal(size=(4, 3))


def test_value_and_gradient_are_those_of_the_known_classes():
    value, grad = jax.value_and_grad(multi_label_cross_entropy)(
        jnp.asarray(LOGITS, jnp.float32), jnp.asarray(LABELS)
    )
    total, expected = 0.0, np.zeros((4, 3))
    for row, column in np.argwhere(LABELS >= 0):
        chance = 1 / (1 + np.exp(-LOGITS[row, column]))
        total -= np.log(chance if LABELS[row, column] else 1 - chance)
        expected[row, column] = chance - LABELS[row, column]
    # Of the third image nothing is known.
    np.testing.assert_allclose(value, total / 3, rtol=1e-6)
    np.testing.assert_allclose(grad, expected / 3, rtol=1e-5, atol=1e-7)
    assert not np.any(grad[LABELS < 0])


def test_large_scores_stay_finite_and_without_labels_there_is_no_loss():
    sure = jnp.array([[1e4, -1e4]])
    assert float(multi_label_cross_entropy(sure, jnp.array([[1, 0]]))) == 0
    assert float(multi_label_cross_entropy(sure, jnp.array([[0, 1]]))) == 2e4
    value, grad = jax.value_and_grad(multi_label_cross_entropy)(sure, jnp.array([[-1, -1]]))
    assert float(value) == 0
    assert not np.any(grad)


def test_low_precision_is_computed_in_float32():
    low = jnp.asarray(LOGITS, jnp.bfloat16)
    value = multi_label_cross_entropy(low, jnp.asarray(LABELS))
    assert value.dtype == jnp.float32
    assert value == multi_label_cross_entropy(low.astype(jnp.float32), jnp.asarray(LABELS))
