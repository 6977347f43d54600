"""Devices, the mesh, and how arrays lie on it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils, multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ssljax.errors import UserError

PyTree = Any
AXES = ("data", "fsdp")
BATCH = PartitionSpec(AXES)
"""How a batch lies on the mesh: its first axis over all devices."""

_SMALLEST_SHARDED = 2**16
"""Parameters with fewer elements are kept whole on each device: gathering them costs more."""


def make_mesh(data: int = -1, fsdp: int = 1) -> Mesh:
    """Lays all devices out as a (data, fsdp) mesh.

    Args:
      data: Devices that hold different examples and the same parameters; -1 is all the rest.
      fsdp: Devices over which parameters are split as well; -1 is all the rest.

    Returns:
      The mesh.

    Raises:
      UserError: If the sizes do not use all devices, or would split parameters over slices.
    """
    grid = lay_out(data, fsdp, jax.devices())
    return Mesh(grid, AXES, axis_types=(AxisType.Auto, AxisType.Auto))


def lay_out(data: int, fsdp: int, devices: Sequence[Any]) -> np.ndarray:
    """The devices of a mesh in their order, (data, fsdp).

    Several slices of TPUs, between which the network is slower, hold different examples. Those of
    one process lie side by side, so that it reads one piece of the batch.

    Args:
      data: As for `make_mesh`.
      fsdp: As for `make_mesh`.
      devices: All of them.

    Raises:
      UserError: As `make_mesh` does.
    """
    sizes, count = [data, fsdp], len(devices)
    if sizes.count(-1) == 1:
        known = sizes[1 - sizes.index(-1)]
        if known > 0 and count % known == 0:
            sizes[sizes.index(-1)] = count // known
    if min(sizes) < 1 or sizes[0] * sizes[1] != count:
        raise UserError(
            f"mesh.data={data} and mesh.fsdp={fsdp} do not lay out {count} device(s): their "
            "product must be the number of devices, and one of them may be -1 for the rest."
        )
    slices = len({_slice(device) for device in devices})
    if sizes[0] % slices:
        raise UserError(
            f"mesh.data={sizes[0]} and mesh.fsdp={sizes[1]} would split parameters over {slices} "
            f"slices: give mesh.fsdp a size that divides the {count // slices} devices of a slice."
        )
    if slices > 1:
        inner, outer = (sizes[0] // slices, sizes[1]), (slices, 1)
        grid = mesh_utils.create_hybrid_device_mesh(
            inner, outer, devices, allow_split_physical_axes=True
        )
    else:
        grid = mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
    owners = [device.process_index for device in grid.flat]
    if len(list(itertools.groupby(owners))) > len(set(owners)):
        # A host of TPUs owns a square of chips, and its rows of the torus are those of others too.
        ordered = sorted(devices, key=lambda d: (_slice(d), d.process_index, d.id))
        grid = np.array(ordered).reshape(sizes)
    return grid


def _slice(device: Any) -> int:
    """The slice of a TPU; GPUs number their hosts so in some versions of JAX."""
    return getattr(device, "slice_index", 0) if device.platform == "tpu" else 0


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding that keeps a full copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding that splits the first axis over all devices."""
    return NamedSharding(mesh, BATCH)


def to_host(tree: PyTree) -> PyTree:
    """Fetches whole arrays, however they lie on the devices of all processes.

    Args:
      tree: Any pytree of arrays, the same in every process; all processes must call. NumPy's stay
        as they are.

    Returns:
      The same tree of NumPy arrays, in every process.
    """

    def fetch(array: Any) -> np.ndarray:
        if isinstance(array, jax.Array) and not (
            array.is_fully_addressable or array.is_fully_replicated
        ):
            array = multihost_utils.process_allgather(array, tiled=True)
        return np.asarray(array)

    return jax.tree.map(fetch, tree)


def state_shardings(mesh: Mesh, state: PyTree) -> PyTree:
    """Shardings of a training state: big arrays are split over `fsdp`, the rest is replicated.

    Args:
      mesh: The mesh.
      state: Any pytree of arrays or of their shapes.

    Returns:
      The same tree with a `NamedSharding` at each leaf. An array of at least 65,536 elements is
      split along its largest axis that the size of `fsdp` divides.
    """
    size = mesh.shape["fsdp"]

    def place(leaf: Any) -> NamedSharding:
        divisible = [axis for axis, n in enumerate(leaf.shape) if n % size == 0]
        if size == 1 or not divisible or np.prod(leaf.shape) < _SMALLEST_SHARDED:
            return replicated(mesh)
        widest = max(divisible, key=lambda axis: leaf.shape[axis])
        return NamedSharding(
            mesh, PartitionSpec(*("fsdp" if a == widest else None for a in range(leaf.ndim)))
        )

    return jax.tree.map(place, state)


def local_rows(mesh: Mesh, batch_size: int) -> slice:
    """The rows of the global batch whose devices belong to this process.

    Args:
      mesh: The mesh.
      batch_size: Rows of the global batch.

    Returns:
      A slice with step 1.

    Raises:
      UserError: If the devices or the processes do not divide the batch.
    """
    devices, processes = mesh.size, jax.process_count()
    if batch_size % devices:
        raise UserError(
            f"batch_size={batch_size} cannot be split over {devices} devices in {processes} "
            f"process(es): use a multiple of {devices}, such as "
            f"{max(1, round(batch_size / devices)) * devices}."
        )
    places = batch_sharding(mesh).addressable_devices_indices_map((batch_size,))
    rows = [index[0] for index in places.values() if index is not None]
    bounds = sorted((part.start or 0, part.stop or batch_size) for part in rows)
    if any(a[1] != b[0] for a, b in itertools.pairwise(bounds) if a != b):
        raise UserError(
            f"The devices of process {jax.process_index()} hold separate parts of the batch: give "
            "mesh.fsdp a size that divides the devices of one process."
        )
    return slice(bounds[0][0], bounds[-1][1])
