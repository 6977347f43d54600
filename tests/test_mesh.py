"""The mesh, what lies where on it, and the batches that it cannot split."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from ssljax import mesh
from ssljax.errors import UserError


@pytest.mark.parametrize(
    ("asked", "shape"), [((-1, 1), (8, 1)), ((2, -1), (2, 4)), ((4, 2), (4, 2)), ((-1, 8), (1, 8))]
)
def test_the_rest_of_the_devices_goes_where_minus_one_stands(asked, shape):
    assert tuple(mesh.make_mesh(*asked).shape.values()) == shape


@pytest.mark.parametrize("asked", [(3, -1), (-1, -1), (2, 2), (0, 8), (16, 1)])
def test_a_mesh_that_does_not_use_the_devices_up_is_refused(asked):
    with pytest.raises(UserError, match=r"do not lay out 8 device"):
        mesh.make_mesh(*asked)


def test_big_arrays_are_split_along_their_largest_divisible_axis():
    shapes = {
        "kernel": jax.ShapeDtypeStruct((3, 3, 128, 258), jnp.float32),  # 4 divides 128, not 258
        "dense": jax.ShapeDtypeStruct((256, 1024), jnp.float32),
        "odd": jax.ShapeDtypeStruct((255, 1023), jnp.float32),
        "small": jax.ShapeDtypeStruct((64,), jnp.float32),
    }
    specs = {
        name: sharding.spec
        for name, sharding in mesh.state_shardings(mesh.make_mesh(2, 4), shapes).items()
    }
    assert specs == {
        "kernel": PartitionSpec(None, None, "fsdp", None),
        "dense": PartitionSpec(None, "fsdp"),
        "odd": PartitionSpec(),
        "small": PartitionSpec(),
    }
    whole = mesh.state_shardings(mesh.make_mesh(8, 1), shapes)
    assert all(sharding.is_fully_replicated for sharding in whole.values())


def test_a_batch_that_the_devices_cannot_split_names_one_that_they_can():
    with pytest.raises(UserError, match=r"batch_size=100 .* multiple of 8, such as 96"):
        mesh.local_rows(mesh.make_mesh(), 100)


def test_one_process_owns_every_row():
    assert mesh.local_rows(mesh.make_mesh(2, 4), 64) == slice(0, 64)


def test_whole_arrays_come_to_the_host_however_they_lie():
    grid, rows = mesh.make_mesh(2, 4), np.arange(24.0, dtype=np.float32).reshape(8, 3)
    split = jax.device_put(rows, mesh.batch_sharding(grid))
    whole = jax.device_put(rows, mesh.replicated(grid))
    found = mesh.to_host({"split": split, "whole": whole, "host": rows})
    for array in found.values():
        assert type(array) is np.ndarray
        np.testing.assert_array_equal(array, rows)
