"""From the host to the devices: global batches, a set that lives there, and work ahead."""

import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from ssljax.errors import UserError

# The remainder has to hold parameters, optimizer states and activations.
_LARGEST_SHARE = 0.5

_END = object()

Host = TypeVar("Host")
Placed = TypeVar("Placed")


DeviceCache = dict[str, Array]
"""A whole set on every device of a mesh, by field, (N, ...).

Hand it to a jitted function as an argument, never by closure, or it becomes a constant of the
program.
"""


def put_on_devices(mesh: Mesh, arrays: dict[str, np.ndarray]) -> DeviceCache:
    """Copies a set to every device of a mesh.

    Args:
      mesh: The devices, of all processes; each process gives the same arrays.
      arrays: Each field of the set, (N, ...): see `ssljax.data.load_all`.

    Returns:
      The set, replicated.

    Raises:
      UserError: The set takes more than half of the memory of a device.
    """
    size = sum(array.nbytes for array in arrays.values())
    memory = _device_memory(mesh)
    if memory is not None and size > _LARGEST_SHARE * memory:
        raise UserError(
            f"The data set takes {size / 1e9:.1f} GB, more than half of the {memory / 1e9:.1f} GB"
            " of a device: set config.data.cache to 'none', or make config.data.image_size smaller."
        )
    everywhere = NamedSharding(mesh, PartitionSpec())
    return {
        name: jax.make_array_from_process_local_data(everywhere, array, array.shape)
        for name, array in arrays.items()
    }


def gather(cache: DeviceCache, indices: Int[Array, "*batch"]) -> dict[str, Array]:
    """Picks a batch out of a set that lives on the devices; pure, for use under jit.

    Args:
      cache: The set.
      indices: Places in the set, of any shape, sharded like the batch is to be.

    Returns:
      "index", the indices; and each field of the set, (*batch, ...).
    """
    return {"index": indices} | {
        name: array.at[indices].get(mode="promise_in_bounds") for name, array in cache.items()
    }


def to_global(mesh: Mesh, batch: Any, spec: PartitionSpec) -> Any:
    """Makes one global batch from the parts that the processes hold.

    Args:
      mesh: The devices of all processes.
      batch: A pytree of host arrays: this process's rows.
      spec: How the batch is sharded over the mesh, for instance `PartitionSpec("data")`.

    Returns:
      The same pytree of global `jax.Array`s.
    """
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(
        lambda array: jax.make_array_from_process_local_data(sharding, array), batch
    )


class Prefetch(Generic[Host, Placed]):
    """Takes batches from the host and places them on the devices ahead of time, in a thread.

    Attributes:
      wait_s: Seconds that the last `next` waited for its batch.
    """

    def __init__(
        self, iterator: Iterator[Host], place: Callable[[Host], Placed], depth: int = 2
    ) -> None:
        """Starts at once.

        Args:
          iterator: Gives host batches; it is closed at the end if it can be.
          place: Puts one on the devices, for instance by `to_global`.
          depth: How many are kept ready, from 1.
        """
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self.wait_s = 0.0
        self._ready: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._free = threading.Semaphore(depth)
        self._stop = threading.Event()
        self._finished = False
        # The thread knows nothing of this object, so that dropping the object ends the thread.
        self._thread = threading.Thread(
            target=_fill,
            args=(iterator, place, self._ready, self._free, self._stop),
            name="ssljax-prefetch",
            daemon=True,
        )
        self._finalizer = weakref.finalize(self, _release, self._free, self._stop)
        self._thread.start()

    def __iter__(self) -> "Prefetch[Host, Placed]":
        return self

    def __next__(self) -> Placed:
        if self._finished:
            raise StopIteration
        start = time.perf_counter()
        kind, value = self._ready.get()
        self.wait_s = time.perf_counter() - start
        if kind == "batch":
            self._free.release()
            return value
        self._finished = True
        if kind == "error":
            raise value
        raise StopIteration

    def close(self) -> None:
        """Ends the thread and closes the source; the batches that are ready are dropped."""
        self._finished = True
        self._finalizer()
        self._thread.join()


def _fill(
    iterator: Iterator[Any],
    place: Callable[[Any], Any],
    ready: "queue.SimpleQueue[tuple[str, Any]]",
    free: threading.Semaphore,
    stop: threading.Event,
) -> None:
    try:
        while True:
            free.acquire()
            if stop.is_set():
                break
            batch = next(iterator, _END)
            if batch is _END:
                break
            ready.put(("batch", place(batch)))
        ready.put(("end", None))
    except BaseException as error:
        # Any error must reach the consumer, or it would wait forever.
        ready.put(("error", error))
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()


def _release(free: threading.Semaphore, stop: threading.Event) -> None:
    stop.set()
    free.release()


def _device_memory(mesh: Mesh) -> int | None:
    """The memory of the smallest local device in bytes, if the platform reports it."""
    stats = [device.memory_stats() for device in mesh.local_devices]
    limits = [s["bytes_limit"] for s in stats if s and "bytes_limit" in s]
    return min(limits, default=None)
