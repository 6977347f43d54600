"""The queue against a plain list."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.queue import enqueue, random_directions


def f32(x):
    return jnp.asarray(x, jnp.float32)


@pytest.mark.parametrize("batch", [1, 2, 3, 6])
def test_queue_holds_the_latest_keys_in_a_ring(batch):
    size, steps = 6, 11
    step = jax.jit(enqueue)
    queue, pointer = jnp.zeros((size, 2)), jnp.int32(0)
    ring, at, count = [0.0] * size, 0, 0
    for _ in range(steps):
        keys = np.arange(count + 1, count + batch + 1, dtype=np.float32)
        count += batch
        queue, pointer = step(queue, pointer, f32(np.stack([keys, -keys], axis=1)))
        for key in keys:
            ring[at] = key
            at = (at + 1) % size
        np.testing.assert_array_equal(queue[:, 0], ring)
        np.testing.assert_array_equal(queue[:, 1], -np.array(ring))
        assert int(pointer) == at
    np.testing.assert_array_equal(np.sort(queue[:, 0]), np.arange(count - size + 1, count + 1))


def test_queue_is_full_once_its_last_row_is_written():
    queue, pointer = jnp.zeros((6, 1)), jnp.int32(0)
    full = []
    for _ in range(4):
        queue, pointer = enqueue(queue, pointer, jnp.ones((2, 1)))
        full.append(bool(jnp.any(queue[-1] != 0)))
        assert full[-1] == bool(jnp.all(queue != 0))
    assert full == [False, False, True, True]


def test_a_pointer_left_by_another_batch_size_cuts_no_batch():
    # Row 10 of 12 is a start for batches of 2, not of 4.
    queue, pointer = enqueue(jnp.zeros((12, 1)), jnp.int32(10), jnp.ones((4, 1)))
    np.testing.assert_array_equal(queue[:, 0], [0] * 8 + [1] * 4)
    assert int(pointer) == 0


def test_queue_keeps_its_type():
    queue, pointer = enqueue(jnp.zeros((4, 2)), jnp.int32(0), jnp.ones((2, 2), jnp.bfloat16))
    assert queue.dtype == jnp.float32
    assert pointer.dtype == jnp.int32


def test_queue_that_the_batch_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of the batch"):
        enqueue(jnp.zeros((10, 2)), jnp.int32(0), jnp.ones((4, 2)))


def test_queue_starts_full_of_directions_and_at_its_first_row():
    start = random_directions(jax.random.key(0), 16, 5)
    assert start["queue"].shape == (16, 5)
    np.testing.assert_allclose(np.linalg.norm(start["queue"], axis=1), 1.0, rtol=1e-6)
    assert len(np.unique(np.asarray(start["queue"]), axis=0)) == 16
    assert int(start["pointer"]) == 0
