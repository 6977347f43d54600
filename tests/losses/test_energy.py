"""EBGAN's losses against loops in float64, and their extremes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from ssljax.losses import energy


def f32(x):
    return jnp.asarray(x, jnp.float32)


def test_energy_is_the_distance_of_all_pixels():
    rng = np.random.default_rng(0)
    images, reconstructions = rng.normal(size=(2, 5, 3, 3, 2))
    expected = [np.sqrt(np.sum((x - y) ** 2)) for x, y in zip(images, reconstructions, strict=True)]
    actual = energy.reconstruction_energy(f32(images), f32(reconstructions))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_energy_of_a_perfect_reconstruction_has_a_finite_gradient():
    x = jnp.ones((2, 3))
    value, gradient = jax.value_and_grad(lambda y: jnp.sum(energy.reconstruction_energy(x, y)))(x)
    assert float(value) == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))


def test_one_reconstruction_for_many_images_is_refused():
    with pytest.raises((ValueError, TypeCheckError), match=r"one shape|reconstructions"):
        energy.reconstruction_energy(jnp.zeros((4, 3)), jnp.zeros((1, 3)))


@pytest.mark.parametrize("margin", [0.5, 10.0])
def test_discriminator_and_generator_match_float64(margin):
    rng = np.random.default_rng(0)
    real, fake = rng.uniform(size=7), 2 * rng.uniform(size=5)
    expected = np.mean(real) + np.mean([max(0.0, margin - e) for e in fake])
    actual = energy.ebgan_discriminator(f32(real), f32(fake), margin)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    np.testing.assert_allclose(energy.ebgan_generator(f32(fake)), np.mean(fake), rtol=1e-5)


def test_fakes_above_the_margin_are_left_alone():
    gradient = jax.grad(energy.ebgan_discriminator, argnums=1)(
        jnp.ones(2), jnp.array([0.5, 2.0]), 1.0
    )
    np.testing.assert_array_equal(gradient, [-0.5, 0.0])


@pytest.mark.parametrize("margin", [0.0, -1.0])
def test_margin_must_be_positive(margin):
    with pytest.raises(ValueError, match="margin"):
        energy.ebgan_discriminator(jnp.ones(2), jnp.ones(2), margin)


@pytest.mark.parametrize("dim", [2, 9])
def test_pulling_away_matches_float64(dim):
    codes = np.random.default_rng(0).normal(size=(6, dim))
    total = 0.0
    for i, a in enumerate(codes):
        for j, b in enumerate(codes):
            if i != j:
                total += (a @ b / (np.sqrt(a @ a) * np.sqrt(b @ b))) ** 2
    np.testing.assert_allclose(energy.pulling_away(f32(codes)), total / (6 * 5), rtol=1e-5)


def test_pulling_away_is_0_for_orthogonal_codes_and_1_on_one_line():
    assert float(energy.pulling_away(jnp.eye(5))) == 0.0
    line = jnp.array([1.0, -2.0, 3.0])[:, None] * jnp.ones((1, 4))
    # Opposite codes count as equal ones: the cosine is squared.
    assert float(energy.pulling_away(line)) == pytest.approx(1.0, abs=1e-6)


def test_pulling_away_does_not_see_lengths_but_all_values_of_a_code():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(6, 2, 2, 3))
    stretched = codes * rng.uniform(0.1, 10.0, size=(6, 1, 1, 1))
    flat = energy.pulling_away(f32(codes.reshape(6, 12)))
    np.testing.assert_allclose(energy.pulling_away(f32(stretched)), flat, rtol=1e-5)


def test_a_step_down_the_gradient_pulls_codes_apart():
    codes = f32(1 + 0.3 * np.random.default_rng(0).normal(size=(8, 4)))
    value, gradient = jax.value_and_grad(energy.pulling_away)(codes)
    assert energy.pulling_away(codes - gradient) < value


def test_a_single_code_is_refused():
    with pytest.raises(ValueError, match="no pair"):
        energy.pulling_away(jnp.ones((1, 3)))
