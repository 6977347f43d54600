"""The pool of earlier images against a plain loop, on one device and on eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded import on_eight_devices

from ssljax.ops.image_pool import draw, empty_pool, exchange

SHAPE = (2, 3, 1)


def by_a_loop(pool, images, swaps, places, size):
    """CycleGAN's `ImagePool.query`, with its draws given; the pool is a list."""
    shown = []
    for image, swap, place in zip(images, swaps, places, strict=True):
        if len(pool) < size:
            pool.append(image)
            shown.append(image)
        elif swap:
            shown.append(pool[place])
            pool[place] = image
        else:
            shown.append(image)
    return shown


def batches(count, batch):
    """Images of which no two are alike."""
    numbers = np.arange(count * batch, dtype=np.float32).reshape(count, batch, 1, 1, 1)
    return jnp.asarray(numbers + np.linspace(0, 0.5, 6).reshape(SHAPE))


@pytest.mark.parametrize(("size", "batch"), [(5, 1), (5, 3), (4, 16), (7, 8)])
def test_images_are_exchanged_one_after_the_other(size, batch):
    pool, plain = empty_pool(size, SHAPE), []
    step = jax.jit(exchange)
    for number, images in enumerate(batches(12, batch)):
        key = jax.random.key(number)
        swaps, places = map(np.asarray, draw(key, batch, size))
        expected = by_a_loop(plain, np.asarray(images), swaps, places, size)
        shown, pool = step(pool, images, key)
        np.testing.assert_array_equal(shown, np.stack(expected))
        assert int(pool["count"]) == len(plain)
        np.testing.assert_array_equal(pool["images"][: len(plain)], np.stack(plain))
    assert len(plain) == size


def test_an_image_of_the_batch_is_given_in_place_of_a_later_one():
    """In a pool of one, of each two swaps the second gives what the first has stored."""
    images = batches(1, 64)[0]
    shown, _ = exchange(empty_pool(1, SHAPE), images, jax.random.key(3))
    place = {float(image[0, 0, 0]): i for i, image in enumerate(np.asarray(images))}
    came_from = np.array([place[float(image[0, 0, 0])] for image in np.asarray(shown)])
    delay = np.arange(64) - came_from
    assert delay.min() == 0
    assert delay.max() >= 2


def test_half_of_the_images_are_exchanged_for_any_of_those_stored():
    swaps, places = draw(jax.random.key(0), 20_000, 10)
    # Four standard deviations of a fair coin, and of a tenth.
    assert abs(float(swaps.mean()) - 0.5) < 4 * 0.5 / 20_000**0.5
    shares = np.bincount(np.asarray(places), minlength=10) / 20_000
    assert np.abs(shares - 0.1).max() < 4 * (0.1 * 0.9 / 20_000) ** 0.5
    again = draw(jax.random.key(0), 5, 10)
    np.testing.assert_array_equal(again[0], swaps[:5])
    np.testing.assert_array_equal(again[1], places[:5])


def test_eight_devices_have_the_pool_of_one():
    step = jax.jit(exchange)
    one = eight = empty_pool(5, SHAPE)
    for number, images in enumerate(batches(3, 16)):
        key = jax.random.key(number)
        shown, one = step(one, images, key)
        (spread,) = on_eight_devices([images])
        shown_there, eight = step(eight, spread, key)
        np.testing.assert_array_equal(shown_there, shown)
        assert shown_there.sharding.shard_shape(shown.shape)[0] == 2  # The work on it stays split.
    np.testing.assert_array_equal(eight["images"], one["images"])


def test_no_gradient_passes():
    pool, images = empty_pool(2, SHAPE), batches(1, 4)[0]
    slope = jax.grad(lambda x: jnp.sum(exchange(pool, x, jax.random.key(0))[0]))(images)
    assert not np.any(slope)
