"""The losses of GANs against probabilities in float64, and what sets them apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import adversarial
from ssljax.losses.adversarial import GAN_LOSSES


def f32(x):
    return jnp.asarray(x, jnp.float32)


def probability(logits):
    return 1 / (1 + np.exp(-logits))


# By name: discriminator(real, fake), generator(fake), written with probabilities and loops.
REFERENCES = {
    "minimax": (
        lambda real, fake: (
            -np.mean(np.log(probability(real))) - np.mean(np.log(1 - probability(fake)))
        ),
        lambda fake: np.mean(np.log(1 - probability(fake))),
    ),
    "non_saturating": (
        lambda real, fake: (
            -np.mean(np.log(probability(real))) - np.mean(np.log(1 - probability(fake)))
        ),
        lambda fake: -np.mean(np.log(probability(fake))),
    ),
    "least_squares": (
        lambda real, fake: (
            0.5 * np.mean([(x - 1) ** 2 for x in real]) + 0.5 * np.mean([x**2 for x in fake])
        ),
        lambda fake: 0.5 * np.mean([(x - 1) ** 2 for x in fake]),
    ),
    "hinge": (
        lambda real, fake: (
            np.mean([max(0.0, 1 - x) for x in real]) + np.mean([max(0.0, 1 + x) for x in fake])
        ),
        lambda fake: -np.mean(fake),
    ),
    "wasserstein": (
        lambda real, fake: np.mean(fake) - np.mean(real),
        lambda fake: -np.mean(fake),
    ),
}


def test_every_loss_of_the_table_is_tested():
    assert sorted(GAN_LOSSES) == sorted(REFERENCES)


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_both_sides_match_float64(name):
    rng = np.random.default_rng(0)
    # As many fakes as reals are not needed.
    real, fake = 2 * rng.normal(size=11) + 1, 2 * rng.normal(size=7) - 1
    discriminator, generator = REFERENCES[name]
    loss = GAN_LOSSES[name]
    np.testing.assert_allclose(
        loss.discriminator(f32(real), f32(fake)), discriminator(real, fake), rtol=1e-5
    )
    np.testing.assert_allclose(loss.generator(f32(fake)), generator(fake), rtol=1e-5)


def test_drift_is_the_mean_square():
    scores = np.random.default_rng(0).normal(size=9)
    np.testing.assert_allclose(
        adversarial.score_drift(f32(scores)), np.mean(scores * scores), rtol=1e-5
    )


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_a_map_of_logits_counts_as_that_many_logits(name):
    rng = np.random.default_rng(0)
    real, fake = f32(rng.normal(size=(4, 3, 3))), f32(rng.normal(size=(4, 3, 3)))
    loss = GAN_LOSSES[name]
    np.testing.assert_allclose(
        loss.discriminator(real, fake), loss.discriminator(real.ravel(), fake.ravel()), rtol=1e-6
    )
    np.testing.assert_allclose(loss.generator(fake), loss.generator(fake.ravel()), rtol=1e-6)


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_the_sides_pull_apart(name):
    loss = GAN_LOSSES[name]
    to_real, to_fake = jax.grad(loss.discriminator, argnums=(0, 1))(jnp.zeros(1), jnp.zeros(1))
    if name == "least_squares":  # At 0 its fakes are where it wants them.
        to_fake = jax.grad(loss.discriminator, argnums=1)(jnp.zeros(1), jnp.full(1, 0.5))
    assert float(to_real[0]) < 0 < float(to_fake[0])
    assert float(jax.grad(loss.generator)(jnp.zeros(1))[0]) < 0


def test_only_the_non_saturating_generator_learns_while_the_discriminator_wins():
    losing = jnp.full(1, -20.0)
    minimax = jax.grad(adversarial.minimax_generator)(losing)
    non_saturating = jax.grad(adversarial.non_saturating_generator)(losing)
    # d log(1 - D) = -D = -e^-20, and d -log D = D - 1
    np.testing.assert_allclose(minimax, [-np.exp(-20.0)], rtol=1e-5)
    np.testing.assert_allclose(non_saturating, [-1.0], rtol=1e-5)


def test_hinge_leaves_alone_what_is_beyond_its_margins():
    real, fake = jnp.array([1.5, 0.5]), jnp.array([-1.5, -0.5])
    value, (to_real, to_fake) = jax.value_and_grad(adversarial.hinge_discriminator, argnums=(0, 1))(
        real, fake
    )
    assert float(value) == 0.5
    np.testing.assert_array_equal(to_real, [0.0, -0.5])
    np.testing.assert_array_equal(to_fake, [0.0, 0.5])


def test_far_logits_keep_their_distance():
    # A probability would round to 1 and its logarithm to 0 or -inf.
    far = jnp.full(3, 1e4)
    assert float(adversarial.logistic_discriminator(-far, far)) == 2e4
    assert float(adversarial.minimax_generator(far)) == -1e4
    assert float(adversarial.non_saturating_generator(-far)) == 1e4
