"""Devices, the mesh, and how arrays lie on it."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
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
      UserError: If the sizes do not use all devices.
    """
    sizes, devices = [data, fsdp], jax.device_count()
    if sizes.count(-1) == 1:
        known = sizes[1 - sizes.index(-1)]
        if known > 0 and devices % known == 0:
            sizes[sizes.index(-1)] = devices // known
    if min(sizes) < 1 or sizes[0] * sizes[1] != devices:
        raise UserError(
            f"mesh.data={data} and mesh.fsdp={fsdp} do not lay out {devices} device(s): their "
            "product must be the number of devices, and one of them may be -1 for the rest."
        )
    return jax.make_mesh(tuple(sizes), AXES, axis_types=(AxisType.Auto, AxisType.Auto))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding that keeps a full copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding that splits the first axis over all devices."""
    return NamedSharding(mesh, BATCH)


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
