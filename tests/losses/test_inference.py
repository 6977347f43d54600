"""The losses of BiGAN and BigBiGAN against probabilities and loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import inference


def f32(x):
    return jnp.asarray(x, jnp.float32)


def probability(logits):
    return 1 / (1 + np.exp(-logits))


def slopes(function, *arguments):
    """The gradient in float64, by central differences of a float64 function."""
    found = []
    for number, x in enumerate(arguments):
        slope = np.zeros_like(x)
        for place in np.ndindex(x.shape):
            shifted = [np.array(y) for y in arguments]
            values = []
            for shift in (1e-5, -1e-5):
                shifted[number] = x.copy()
                shifted[number][place] += shift
                values.append(function(*shifted))
            slope[place] = (values[0] - values[1]) / 2e-5
        found.append(slope)
    return found


def bigan_discriminator(real, fake):
    p, q = probability(real), probability(fake)
    return -0.5 * np.mean(np.log(p)) - 0.5 * np.mean(np.log(1 - q))


def bigan_encoder_generator(real, fake):
    p, q = probability(real), probability(fake)
    return -0.5 * np.mean(np.log(1 - p)) - 0.5 * np.mean(np.log(q))


def bigbigan_discriminator(real, fake):
    total = 0.0
    for column in range(real.shape[1]):
        total += np.mean([max(0.0, 1 - x) for x in real[:, column]])
        total += np.mean([max(0.0, 1 + x) for x in fake[:, column]])
    return total


def bigbigan_encoder_generator(real, fake):
    return sum(np.mean(real[:, i]) - np.mean(fake[:, i]) for i in range(real.shape[1]))


REFERENCES = {
    "bigan_discriminator": (bigan_discriminator, ()),
    "bigan_encoder_generator": (bigan_encoder_generator, ()),
    "bigbigan_discriminator": (bigbigan_discriminator, (3,)),
    "bigbigan_encoder_generator": (bigbigan_encoder_generator, (3,)),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_value_and_gradient_match_float64(name):
    reference, scores = REFERENCES[name]
    rng = np.random.default_rng(0)
    # As many generated pairs as real ones are not needed.
    real, fake = 2 * rng.normal(size=(5, *scores)), 2 * rng.normal(size=(4, *scores))
    value, gradients = jax.value_and_grad(getattr(inference, name), argnums=(0, 1))(
        f32(real), f32(fake)
    )
    np.testing.assert_allclose(value, reference(real, fake), rtol=1e-5)
    for gradient, expected in zip(gradients, slopes(reference, real, fake), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_flipped_labels_push_hardest_where_the_discriminator_wins():
    won = f32([9.0]), f32([-9.0])
    by_real, by_fake = jax.grad(inference.bigan_encoder_generator, argnums=(0, 1))(*won)
    # The encoder lowers the logit of its pairs, and the generator raises that of its own.
    np.testing.assert_allclose([by_real[0], by_fake[0]], [0.5, -0.5], rtol=1e-3)
    fading = jax.grad(lambda *x: -inference.bigan_discriminator(*x), argnums=(0, 1))(*won)
    assert max(abs(float(x[0])) for x in fading) < 1e-3


def test_each_score_has_a_hinge_of_its_own():
    # Their sum is 1: one hinge on it would be 0.
    real, fake = f32([[3.0, 0.5, -2.5]]), f32([[-3.0, -3.0, -3.0]])
    assert float(inference.bigbigan_discriminator(real, fake)) == pytest.approx(0.0 + 0.5 + 3.5)
    gradient = jax.grad(inference.bigbigan_discriminator)(real, fake)
    np.testing.assert_array_equal(gradient, [[0.0, -1.0, -1.0]])


def test_encoder_and_generator_oppose_the_discriminator_on_both_kinds_of_pair():
    real, fake = f32([[0.2, -0.1, 0.3]]), f32([[0.1, -0.2, 0.4]])
    mine, other = (
        jax.grad(loss, argnums=(0, 1))(real, fake)
        for loss in (inference.bigbigan_encoder_generator, inference.bigbigan_discriminator)
    )
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_array_equal(a, -b)
