"""Losses of translation, value and gradient, against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import discogan_generator, pixel_absolute_error


def f32(x):
    return jax.tree.map(lambda part: jnp.asarray(part, jnp.float32), x)


def test_discogan_is_a_mixture_of_three_terms():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=6)
    real = [rng.normal(size=(6, 2, 2, 3)), rng.normal(size=(6, 4))]
    fake = [rng.normal(size=part.shape) for part in real]
    back, rate = 0.7, 0.2

    # Means of the batch, place by place; then the mean of a layer, and the sum of the layers.
    gaps = [b.mean(axis=0) - a.mean(axis=0) for a, b in zip(real, fake, strict=True)]
    matching = sum((gap**2).mean() for gap in gaps)
    game = np.log1p(np.exp(-logits)).mean()
    expected = (0.1 * game + 0.9 * matching) * 0.8 + 0.7 * 0.2

    loss, slopes = jax.value_and_grad(discogan_generator, argnums=(0, 1, 2, 3))(
        f32(logits), f32(real), f32(fake), jnp.float32(back), rate
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(slopes[0], -0.8 * 0.1 / (1 + np.exp(logits)) / 6, rtol=1e-5)
    for slope, gap in zip(slopes[2], gaps, strict=True):
        row = 0.8 * 0.9 * 2 * gap / gap.size / 6
        np.testing.assert_allclose(slope, np.broadcast_to(row, slope.shape), rtol=1e-4)
    np.testing.assert_allclose(slopes[3], 0.2, rtol=1e-6)
    assert not any(np.any(slope) for slope in slopes[1]), "real images are a target"


def test_batches_of_equal_means_match_whatever_their_images():
    real = [jnp.array([[0.0], [2.0]])]
    fake = [jnp.array([[1.0], [1.0]])]
    loss = discogan_generator(jnp.full(2, 100.0), real, fake, jnp.float32(0.0), 0.0)
    np.testing.assert_allclose(loss, 0.0, atol=1e-6)


def test_every_layer_needs_its_other():
    with pytest.raises(ValueError, match="There are 1 layers of features of real images and 0 of"):
        discogan_generator(jnp.zeros(2), [jnp.zeros((2, 1))], [], jnp.float32(0.0), 0.5)


def test_absolute_error():
    rng = np.random.default_rng(1)
    made, wanted = rng.normal(size=(2, 3, 4, 5, 2))
    loss, slopes = jax.value_and_grad(pixel_absolute_error, argnums=(0, 1))(f32(made), f32(wanted))
    np.testing.assert_allclose(loss, np.abs(made - wanted).mean(), rtol=1e-6)
    np.testing.assert_allclose(slopes[0], np.sign(made - wanted) / made.size, rtol=1e-6)
    assert not np.any(slopes[1]), "the target gets no gradient"
