"""SSGAN's rotations: exact, found again after the discriminator, and still on their devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded import collective_sizes, on_eight_devices

from ssljax.losses import rotation_pretext as pretext

BATCH = 64


@pytest.fixture
def images():
    return jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, 6, 6, 3)), jnp.float32)


def test_a_batch_of_64_makes_one_call_on_64_and_48(images):
    assert pretext.with_rotations(images).shape == (64 + 48, 6, 6, 3)


def test_the_gan_loss_sees_all_upright_images_and_no_other(images):
    seen = pretext.upright_only(pretext.with_rotations(images))
    np.testing.assert_array_equal(seen, images)


def test_the_rotation_loss_sees_every_fourth_image_in_four_orientations(images):
    seen = pretext.in_four_orientations(pretext.with_rotations(images))
    assert seen.shape == (16, 4, 6, 6, 3)
    x = np.asarray(images)
    for row in range(16):
        for turns in range(4):
            np.testing.assert_array_equal(seen[row, turns], np.rot90(x[4 * row], turns))


def test_a_quarter_turn_is_counter_clockwise_and_no_mirror():
    corner = jnp.zeros((4, 2, 2, 1)).at[0].set(jnp.array([[1.0, 2.0], [3.0, 4.0]])[..., None])
    turned = pretext.in_four_orientations(pretext.with_rotations(corner))[0, 1, ..., 0]
    np.testing.assert_array_equal(turned, [[2.0, 4.0], [1.0, 3.0]])


@pytest.mark.parametrize("values", [(), (5,), (4, 4, 2)])
def test_outputs_are_found_under_any_shape(values):
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(14, *values)), jnp.float32)
    np.testing.assert_array_equal(
        pretext.upright_only(outputs), outputs[np.array([0, 1, 2, 3, 7, 8, 9, 10])]
    )
    np.testing.assert_array_equal(
        pretext.in_four_orientations(outputs), outputs[np.array([[0, 4, 5, 6], [7, 11, 12, 13]])]
    )


def test_loss_is_the_cross_entropy_of_the_turns():
    logits = np.random.default_rng(0).normal(size=(5, 4, 4))
    expected = 0.0
    for image in logits:
        for turns, row in enumerate(image):
            expected -= np.log(np.exp(row[turns]) / np.exp(row).sum()) / 20
    actual = pretext.rotation_loss(jnp.asarray(logits, jnp.float32))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_loss_of_a_head_that_knows_is_0():
    knows = jnp.tile(100.0 * jnp.eye(4)[None], (3, 1, 1))
    assert float(pretext.rotation_loss(knows)) == 0.0
    assert float(pretext.rotation_loss(-knows)) > 90


def test_nothing_moves_between_devices(images):
    def outputs(images):
        x = pretext.with_rotations(images)
        return x, pretext.upright_only(x), pretext.in_four_orientations(x)

    (sharded,) = on_eight_devices([images])
    program = jax.jit(outputs).lower(sharded).compile()
    assert collective_sizes(program.as_text()) == []
    for whole, parts in zip(outputs(images), program(sharded), strict=True):
        np.testing.assert_array_equal(parts, whole)
        assert parts.sharding.shard_shape(parts.shape)[0] == parts.shape[0] // 8


def test_gradients_come_back_to_their_images_without_moving(images):
    def loss(images):
        x = pretext.with_rotations(images)
        head = jnp.mean(x[:, :2, :2, 0] ** 2, axis=1)
        logits = jnp.concatenate([head, -head], axis=1)
        gan = jnp.mean(pretext.upright_only(x[:, 0, 0, 0]))
        return pretext.rotation_loss(pretext.in_four_orientations(logits)) + gan

    step = jax.jit(jax.value_and_grad(loss))
    value, gradient = step(images)
    (sharded,) = on_eight_devices([images])
    program = step.lower(sharded).compile()
    sharded_value, sharded_gradient = program(sharded)
    np.testing.assert_allclose(sharded_value, value, rtol=1e-5)
    np.testing.assert_allclose(sharded_gradient, gradient, rtol=1e-5, atol=1e-7)
    assert max(collective_sizes(program.as_text())) == 1


@pytest.mark.parametrize("batch", [1, 6])
def test_a_batch_that_4_does_not_divide_is_refused(batch):
    with pytest.raises(ValueError, match=f"batch of {batch} images"):
        pretext.with_rotations(jnp.zeros((batch, 4, 4, 1)))
