"""What every loss of a GAN must hold, whatever its formula.

One device and eight give the same value and gradient; the order of the batch does not matter;
bfloat16 inputs are computed in float32; extreme logits have finite gradients; what is not a number
makes no number; the gradient is the slope of the value; and nothing but sums over the batch travels
between devices, save for the codes that the pulling-away term compares.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded import collective_sizes, on_eight_devices

from ssljax.losses import adversarial, energy, inference
from ssljax.losses.rotation_pretext import rotation_loss
from ssljax.losses.semi_supervised import (
    feature_matching,
    sgan_generator,
    sgan_supervised,
    sgan_unsupervised,
)

BATCH, DIM = 16, 6


@dataclass(frozen=True)
class Case:
    """A loss, the shapes of its arguments, which of them learn, and what it may exchange.

    Of an argument that is `choices` the test makes classes: it has no value that is not finite.
    """

    loss: Callable[..., jax.Array]
    shapes: tuple[tuple[int, ...], ...]
    learns: tuple[int, ...] = (0, 1)
    largest: int = 1
    choices: tuple[int, ...] = ()


LINE, FLAT, PATCH, SCORES = (BATCH,), (BATCH, DIM), (BATCH, 3, 3), (BATCH, 3)


def _supervised(logits: jax.Array, images: jax.Array) -> jax.Array:
    """Labels that move with the batch, some of them unknown."""
    return sgan_supervised(logits, jnp.argmax(images[:, :4], axis=1).astype(jnp.int32) - 1)


CASES = {
    "logistic_discriminator": Case(adversarial.logistic_discriminator, (LINE, LINE)),
    "logistic_discriminator_patch": Case(adversarial.logistic_discriminator, (PATCH, PATCH)),
    "minimax_generator": Case(adversarial.minimax_generator, (LINE,)),
    "non_saturating_generator": Case(adversarial.non_saturating_generator, (LINE,)),
    "least_squares_discriminator": Case(adversarial.least_squares_discriminator, (PATCH, PATCH)),
    "least_squares_generator": Case(adversarial.least_squares_generator, (LINE,)),
    "hinge_discriminator": Case(adversarial.hinge_discriminator, (LINE, LINE)),
    "wasserstein_discriminator": Case(adversarial.wasserstein_discriminator, (LINE, LINE)),
    "wasserstein_generator": Case(adversarial.wasserstein_generator, (LINE,)),
    "score_drift": Case(adversarial.score_drift, (LINE,)),
    "ebgan_discriminator": Case(
        functools.partial(energy.ebgan_discriminator, margin=0.3), (LINE, LINE)
    ),
    "ebgan_generator": Case(energy.ebgan_generator, (LINE,)),
    "reconstruction_energy": Case(
        lambda x, y: energy.ebgan_generator(energy.reconstruction_energy(x, y)), (PATCH, PATCH)
    ),
    "pulling_away": Case(energy.pulling_away, (FLAT,), largest=BATCH * DIM),
    "sgan_supervised": Case(_supervised, (FLAT, FLAT), learns=(0,), choices=(1,)),
    "sgan_unsupervised": Case(sgan_unsupervised, (FLAT, FLAT)),
    "sgan_generator": Case(sgan_generator, (FLAT,)),
    "feature_matching": Case(feature_matching, (FLAT, FLAT), learns=(1,), largest=DIM),
    "bigan_discriminator": Case(inference.bigan_discriminator, (LINE, LINE)),
    "bigan_encoder_generator": Case(inference.bigan_encoder_generator, (LINE, LINE)),
    "bigbigan_discriminator": Case(inference.bigbigan_discriminator, (SCORES, SCORES), largest=3),
    "bigbigan_encoder_generator": Case(
        inference.bigbigan_encoder_generator, (SCORES, SCORES), largest=3
    ),
    "rotation_loss": Case(rotation_loss, ((BATCH, 4, 4),)),
}


@functools.cache
def compiled(name: str) -> Callable[..., tuple[jax.Array, tuple[jax.Array, ...]]]:
    case = CASES[name]
    return jax.jit(jax.value_and_grad(case.loss, argnums=tuple(range(len(case.shapes)))))


def arguments(name: str) -> list[jax.Array]:
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in CASES[name].shapes]


@pytest.mark.parametrize("name", CASES)
def test_eight_devices_equal_one(name):
    one = arguments(name)
    step = compiled(name)
    value, gradients = step(*one)
    many = on_eight_devices(one)
    program = step.lower(*many).compile()
    sharded_value, sharded_gradients = program(*many)
    np.testing.assert_allclose(sharded_value, value, rtol=1e-5)
    for sharded, whole in zip(sharded_gradients, gradients, strict=True):
        np.testing.assert_allclose(sharded, whole, rtol=1e-5, atol=1e-5 * np.max(np.abs(whole)))
    sizes = collective_sizes(program.as_text())
    assert sizes, "a loss over a sharded batch needs a collective"
    assert max(sizes) <= CASES[name].largest


@pytest.mark.parametrize("name", CASES)
def test_order_of_the_batch_does_not_matter(name):
    inputs = arguments(name)
    value, gradients = compiled(name)(*inputs)
    order = np.random.default_rng(1).permutation(BATCH)
    moved_value, moved_gradients = compiled(name)(*(jnp.take(x, order, 0) for x in inputs))
    np.testing.assert_allclose(moved_value, value, rtol=1e-5)
    for moved, gradient in zip(moved_gradients, gradients, strict=True):
        expected = np.take(np.asarray(gradient), order, 0)
        np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5 * np.max(np.abs(expected)))


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_the_slope_of_the_value(name):
    inputs = arguments(name)
    step, rng = compiled(name), np.random.default_rng(2)
    gradients = step(*inputs)[1]
    for index, gradient in enumerate(gradients):
        if index not in CASES[name].learns:
            assert not np.any(gradient)
            continue
        direction = rng.normal(size=gradient.shape)
        direction /= np.linalg.norm(direction)

        def along(step_size, index=index, direction=direction):
            moved = list(inputs)
            moved[index] = moved[index] + jnp.asarray(step_size * direction, jnp.float32)
            return float(step(*moved)[0])

        slope = (along(0.01) - along(-0.01)) / 0.02
        expected = np.vdot(gradient, direction)
        np.testing.assert_allclose(slope, expected, rtol=0.01, atol=1e-4 * abs(along(0.0)))


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_inputs_are_computed_in_float32(name):
    half = [x.astype(jnp.bfloat16) for x in arguments(name)]
    value, gradients = compiled(name)(*half)
    assert value.dtype == jnp.float32
    expected, _ = compiled(name)(*(x.astype(jnp.float32) for x in half))
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient.astype(jnp.float32)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1e4, -1e4, 0.0])
def test_extreme_inputs_have_finite_values_and_gradients(name, size):
    signs = [jnp.sign(x) if size > 0 else jnp.abs(jnp.sign(x)) for x in arguments(name)]
    value, gradients = compiled(name)(*(size * sign for sign in signs))
    assert np.isfinite(value)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("name", CASES)
def test_an_image_that_is_not_finite_makes_no_finite_loss(name):
    inputs = arguments(name)
    for index in set(range(len(inputs))) - set(CASES[name].choices):

        def value(bad, index=index):
            spoilt = [*inputs]
            spoilt[index] = inputs[index].at[3].set(bad)
            return compiled(name)(*spoilt)[0]

        assert np.isnan(value(np.nan))
        # A loss that levels off has a limit on one side, and on that side only.
        assert not (np.isfinite(value(np.inf)) and np.isfinite(value(-np.inf)))
