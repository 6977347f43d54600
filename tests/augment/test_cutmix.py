"""CutMix: a box of the neighbour, and targets by its area."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded import collective_sizes, on_eight_devices

from ssljax.augment.cutmix import cutmix


def keys_for(count):
    return jax.random.split(jax.random.key(0), count)


def test_each_image_has_a_box_of_its_neighbour_and_targets_by_its_area():
    count = 400
    numbers = jnp.arange(count, dtype=jnp.float32)
    images = jnp.broadcast_to(numbers[:, None, None, None], (count, 12, 16, 3))
    mixed, targets = jax.jit(cutmix)(keys_for(count), images, jnp.eye(count))
    shares = []
    for number in range(count):
        neighbour = number ^ 1
        other = np.asarray(mixed[number, :, :, 0] == neighbour)
        assert np.all(other | (np.asarray(mixed[number, :, :, 0]) == number))
        rows, columns = np.flatnonzero(other.any(1)), np.flatnonzero(other.any(0))
        if len(rows):  # A box, without gaps.
            assert (
                other.sum()
                == np.ptp(rows + 0) * np.ptp(columns) + np.ptp(rows) + np.ptp(columns) + 1
            )
        np.testing.assert_allclose(targets[number, neighbour], other.mean(), atol=1e-6)
        np.testing.assert_allclose(targets[number, number], 1 - other.mean(), atol=1e-6)
        shares.append(other.mean())
    # A uniform area, of which some lies outside.
    assert 0.25 < np.mean(shares) < 0.45
    assert max(shares) > 0.9


def test_it_is_done_as_often_as_it_should_be_and_moves_nothing_between_devices():
    images = jnp.asarray(np.random.default_rng(0).random((200, 8, 8, 3)), jnp.float32)
    mixed, _ = cutmix(keys_for(200), images, jnp.eye(200), 0.5)
    changed = np.any(np.asarray(mixed) != np.asarray(images), axis=(1, 2, 3))
    assert changed.mean() == pytest.approx(0.5, abs=0.1)
    part, _ = cutmix(keys_for(200)[6:10], images[6:10], jnp.eye(4), 0.5)
    np.testing.assert_array_equal(part, mixed[6:10])
    sharded = on_eight_devices([keys_for(32), images[:32], jnp.eye(32)])
    assert collective_sizes(jax.jit(cutmix).lower(*sharded).compile().as_text()) == []


def test_an_image_without_a_neighbour_is_refused():
    with pytest.raises(ValueError, match="pairs"):
        cutmix(keys_for(3), jnp.zeros((3, 4, 4, 1)), jnp.eye(3))
