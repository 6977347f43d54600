"""Whether a run fits into memory, checked before anything of it is made.

Only what cannot be avoided is counted; activations and temporary copies come on top.
"""

from __future__ import annotations

import math
import os

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from ml_collections import ConfigDict

from ssljax.errors import UserError
from ssljax.methods.contract import TrainState


def check_images(config: ConfigDict, on: Mesh, batches: int, size: int) -> None:
    """Raises a `UserError` if a batch, or a set that lies on the devices, takes too much memory.

    Args:
      config: The run's config.
      on: The mesh.
      batches: Fresh batches in one train step.
      size: Images of the training set.
    """
    side, channels = config.data.image_size, config.data.channels
    image = side**2 * channels
    if config.data.cache == "device":
        _check(
            size * image,
            min(of_host(), _of_device(on)),
            f"The {size} images of the data set, {side}x{side} pixels each, take",
            "set config.data.cache=none, or make config.data.image_size smaller",
        )
    views = {
        f"config.method.{name}.size": view["size"]
        for name, view in config.method.items()
        if isinstance(view, ConfigDict) and "crop_scale" in view
    }
    floats = sum(view**2 for view in views.values()) if views else side**2
    # The views of accumulated batches are made for one batch at a time.
    viewed = batches if config.optimizer.accumulate == 1 else 1
    batch = config.batch_size * (batches * image + viewed * floats * channels * 4)
    _check(
        math.ceil(batch / on.size),
        _of_device(on),
        f"A step's {config.batch_size * batches} images and their views take",
        f"make {' or '.join(['config.batch_size', 'config.data.image_size', *views])} smaller",
    )


def check_state(state: TrainState, on: Mesh) -> None:
    """Raises a `UserError` if parameters, optimizer and memory of a run take too much memory.

    Args:
      state: Shapes, types and shardings.
      on: The mesh.
    """
    size = sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(state)
    )
    _check(
        size,
        _of_device(on),
        "The parameters, the optimizer's state and the method's memory take",
        "choose a smaller network or a shorter queue, or split them with config.mesh.fsdp",
    )


def _check(needed: int, there: int, what: str, advice: str) -> None:
    if needed > there:
        if jax.default_backend() == "cpu" and jax.local_device_count() > 1:
            advice += ", or leave the memory to one device with config.mesh.data=1"
        raise UserError(
            f"{what} {needed / 2**30:.1f} GiB on each device, which has {there / 2**30:.1f} GiB: "
            f"{advice}."
        )


def _of_device(mesh: Mesh) -> int:
    """Bytes of the smallest device, or of its part of the host where devices have none."""
    local = mesh.local_devices
    stats = [device.memory_stats() for device in local]
    limits = [each["bytes_limit"] for each in stats if each and "bytes_limit" in each]
    return _least(min(limits, default=_of_host() // len(local)))


def of_host() -> int:
    """Bytes of this host, or of the smallest host where there are several processes."""
    return _least(_of_host())


def _of_host() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _least(own: int) -> int:
    """The minimum over all processes, so that all decide alike."""
    if jax.process_count() == 1:
        return own
    # In MiB, which fit into 32 bits.
    megabytes = multihost_utils.process_allgather(np.int32(own // 2**20))
    return int(np.min(megabytes)) * 2**20
