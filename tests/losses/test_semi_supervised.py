"""SGAN's losses against probabilities of K + 1 classes in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import semi_supervised as sgan


def f32(x):
    return jnp.asarray(x, jnp.float32)


def probabilities(logits):
    """Of the K classes and, last, of "generated", whose logit is 0."""
    exponentials = np.exp(np.concatenate([logits, np.zeros((len(logits), 1))], axis=1))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.fixture
def logits():
    return 2 * np.random.default_rng(0).normal(size=(2, 6, 4))


def test_discriminator_is_z_over_z_plus_one(logits):
    actual = jax.nn.sigmoid(sgan.sgan_real_logits(f32(logits[0])))
    z = np.exp(logits[0]).sum(axis=1)
    np.testing.assert_allclose(actual, z / (z + 1), rtol=1e-5)


def test_supervised_is_the_cross_entropy_within_the_real_classes(logits):
    labels = np.array([0, 3, 1, 1, 2, 0])
    real = probabilities(logits[0])[:, :4]
    given_real = real / real.sum(axis=1, keepdims=True)
    expected = -np.mean(np.log(given_real[np.arange(6), labels]))
    actual = sgan.sgan_supervised(f32(logits[0]), jnp.asarray(labels))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_images_without_a_label_do_not_count(logits):
    all_of_them = f32(logits[0])
    actual = sgan.sgan_supervised(all_of_them, jnp.array([-1, 3, -1, 1, 2, -1]))
    some = sgan.sgan_supervised(all_of_them[jnp.array([1, 3, 4])], jnp.array([3, 1, 2]))
    np.testing.assert_allclose(actual, some, rtol=1e-6)
    assert float(sgan.sgan_supervised(all_of_them, jnp.full(6, -1))) == 0.0


def test_unsupervised_is_half_the_log_likelihood_of_real_and_generated(logits):
    real, fake = logits
    generated = probabilities(real)[:, -1], probabilities(fake[:3])[:, -1]
    expected = -0.5 * np.mean(np.log(1 - generated[0])) - 0.5 * np.mean(np.log(generated[1]))
    actual = sgan.sgan_unsupervised(f32(real), f32(fake[:3]))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_generator_minimises_the_log_probability_of_generated(logits):
    expected = np.mean(np.log(probabilities(logits[1])[:, -1]))
    np.testing.assert_allclose(sgan.sgan_generator(f32(logits[1])), expected, rtol=1e-5)


def test_a_shift_of_all_logits_changes_what_is_real_but_not_the_class(logits):
    moved = f32(logits[0] + 3)
    labels = jnp.array([0, 3, 1, 1, 2, 0])
    np.testing.assert_allclose(
        sgan.sgan_supervised(moved, labels),
        sgan.sgan_supervised(f32(logits[0]), labels),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        sgan.sgan_real_logits(moved), sgan.sgan_real_logits(f32(logits[0])) + 3, rtol=1e-5
    )


def test_feature_matching_compares_means_of_batches():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(9, 2, 3)), rng.normal(size=(5, 2, 3))
    expected = 0.0
    for row in range(2):
        for column in range(3):
            expected += (real[:, row, column].mean() - fake[:, row, column].mean()) ** 2 / 6
    np.testing.assert_allclose(sgan.feature_matching(f32(real), f32(fake)), expected, rtol=1e-4)


def test_features_of_two_layers_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        sgan.feature_matching(jnp.ones((4, 1)), jnp.ones((4, 5)))
