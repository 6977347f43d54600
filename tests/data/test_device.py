"""Placing batches and sets on eight devices, and working ahead."""

import gc
import itertools
import re
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax.data import Prefetch, device, gather, put_on_devices, to_global
from ssljax.errors import UserError

_COLLECTIVES = re.compile(
    r"all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter|collective-broadcast"
)


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))


@pytest.fixture(scope="module")
def arrays():
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 3), np.uint8)
    return {"image": images, "label": np.arange(30, dtype=np.int32)}


def test_gather_takes_images_and_labels_without_moving_them(mesh, arrays):
    cache = put_on_devices(mesh, arrays)
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    indices = np.random.default_rng(1).integers(0, 30, (16, 2), np.int32)
    places = jax.device_put(indices, sharding)
    compiled = jax.jit(gather, out_shardings=sharding).lower(cache, places).compile()
    batch = compiled(cache, places)
    for key, array in arrays.items():
        np.testing.assert_array_equal(batch[key], array[indices])
        assert batch[key].sharding.is_equivalent_to(sharding, batch[key].ndim)
    assert _COLLECTIVES.search(compiled.as_text()) is None


def test_the_batch_is_sharded_as_the_indices_are(mesh, arrays):
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    places = jax.device_put(np.arange(16, dtype=np.int32), sharding)
    image = jax.jit(gather)(put_on_devices(mesh, arrays), places)["image"]
    assert image.sharding.is_equivalent_to(sharding, image.ndim)


def test_a_set_without_labels_gives_none(mesh, arrays):
    cache = put_on_devices(mesh, {"image": arrays["image"]})
    assert gather(cache, jnp.arange(3)).keys() == {"image", "index"}


def test_the_set_is_on_every_device(mesh, arrays):
    image = put_on_devices(mesh, arrays)["image"]
    assert len(image.addressable_shards) == 8
    for shard in image.addressable_shards:
        np.testing.assert_array_equal(shard.data, arrays["image"])


def test_a_set_that_is_too_large_is_told(mesh, arrays, monkeypatch):
    size = sum(array.nbytes for array in arrays.values())
    monkeypatch.setattr(device, "_device_memory", lambda _: 2 * size)
    put_on_devices(mesh, arrays)
    monkeypatch.setattr(device, "_device_memory", lambda _: 2 * size - 1)
    with pytest.raises(UserError, match=r"more than half.*config\.data\.cache"):
        put_on_devices(mesh, arrays)


def test_a_global_batch_is_sharded_over_the_mesh(mesh, arrays):
    batch = {key: array[:16] for key, array in arrays.items()}
    placed = to_global(mesh, batch, PartitionSpec("data"))
    for key, array in batch.items():
        np.testing.assert_array_equal(placed[key], array)
        assert placed[key].dtype == array.dtype
        assert placed[key].sharding.shard_shape(array.shape)[0] == 2


def _threads():
    return [t for t in threading.enumerate() if t.name == "ssljax-prefetch"]


def test_prefetch_keeps_the_order_and_ends():
    ahead = Prefetch(iter(range(7)), lambda x: 10 * x)
    assert list(ahead) == [0, 10, 20, 30, 40, 50, 60]
    with pytest.raises(StopIteration):
        next(ahead)


@pytest.mark.parametrize("depth", [1, 3])
def test_prefetch_places_no_more_than_depth_ahead(depth):
    placed = []
    ahead = Prefetch(itertools.count(), lambda x: placed.append(x) or x, depth)
    for taken in range(1, 5):
        next(ahead)
        deadline = time.monotonic() + 5
        while len(placed) < taken + depth and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        assert len(placed) == taken + depth
    ahead.close()


def test_prefetch_measures_the_wait():
    def slow():
        yield 0
        time.sleep(0.2)
        yield 1

    ahead = Prefetch(slow(), lambda x: x)
    next(ahead)
    next(ahead)
    assert 0.1 < ahead.wait_s < 5
    quick = Prefetch(iter(range(3)), lambda x: x, depth=3)
    time.sleep(0.1)
    next(quick)
    assert quick.wait_s < 0.05
    quick.close()


@pytest.mark.parametrize("where", ["source", "place"])
def test_prefetch_raises_the_error_after_the_batches_before_it(where):
    def source():
        yield from (0, 1)
        if where == "source":
            raise UserError("image-7 is broken")
        yield 2

    def place(x):
        if x == 2:
            raise UserError("image-7 is broken")
        return x

    ahead = Prefetch(source(), place, depth=5)
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(UserError, match="image-7"):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)


def _closable(closed):
    try:
        yield from itertools.count()
    finally:
        closed.set()


def test_closing_ends_the_thread_and_the_source():
    closed = threading.Event()
    ahead = Prefetch(_closable(closed), lambda x: x)
    next(ahead)
    ahead.close()
    ahead.close()
    assert closed.is_set()
    with pytest.raises(StopIteration):
        next(ahead)


def test_dropping_it_ends_the_thread_and_the_source():
    before = len(_threads())
    closed = threading.Event()
    ahead = Prefetch(_closable(closed), lambda x: x)
    next(ahead)
    del ahead
    gc.collect()
    assert closed.wait(5)
    deadline = time.monotonic() + 5
    while len(_threads()) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(_threads()) == before


def test_prefetch_needs_room():
    with pytest.raises(ValueError, match="depth"):
        Prefetch(iter([]), lambda x: x, depth=0)
