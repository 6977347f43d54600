"""Batches on the host: order, read, decode and stack, in threads and ahead of time."""

import contextlib
import os
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import grain
import numpy as np
from jaxtyping import Int32

from ssljax.data.crops import Crop, HostCrops
from ssljax.data.decode import Range
from ssljax.data.fields import Frame
from ssljax.data.fit import Resize
from ssljax.data.order import Order
from ssljax.data.reading import Reader
from ssljax.data.sources.base import Source

Batch = dict[str, np.ndarray]

# Large enough to hide the cost of a task, small enough to keep every thread busy with one batch.
_IMAGES_PER_TASK = 32


class Loader:
    """Streams the batches of a source, in an order that (seed, step) fixes.

    The batches are built by Grain's threads. A corrupt image is replaced by the first sound one
    after it in the source, whichever process reads it, so the replacement is the same in every run.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        seed: int,
        image_size: int,
        channels: int,
        resize: Resize = "short_side",
        value_range: Range | None = None,
        batches_per_step: int = 1,
        rows: slice = slice(None),
        threads: int | None = None,
        prefetch: int = 2,
        max_corrupt: int = 0,
        crops: Sequence[Crop] = (),
    ) -> None:
        """Plans the stream; nothing is read yet.

        Args:
          source: The images.
          batch_size: Samples in a global batch, over all processes.
          seed: Fixes the order; any integer from 0.
          image_size: Height and width, in pixels.
          channels: From 1; see `ssljax.data.decode.open_image`.
          resize: See `ssljax.data.fit.place`.
          value_range: See `ssljax.data.decode.open_image`.
          batches_per_step: Batches that one step uses, U.
          rows: The places in the global batch that this process loads.
          threads: How many threads read and decode; 0 for none. By default one for each CPU, at
            most 16.
          prefetch: Steps that are kept ready, from 0.
          max_corrupt: How many different images may be corrupt.
          crops: What is cut from each image in its place, instead of bringing it to one size: see
            `ssljax.data.crops`.

        Raises:
          UserError: The set is smaller than a batch.
          ValueError: If a number is out of its range.
        """
        self._order = Order(len(source), batch_size, seed, batches_per_step)
        places = range(*rows.indices(batch_size))
        if not places:
            raise ValueError(f"rows {rows} picks none of the {batch_size} rows of a batch")
        rows_per_task = max(1, _IMAGES_PER_TASK // batches_per_step)
        self._tasks = [places[i : i + rows_per_task] for i in range(0, len(places), rows_per_task)]
        self._threads = default_threads() if threads is None else threads
        self._prefetch = prefetch
        frame = Frame(image_size, channels, resize, value_range)
        cut = HostCrops(crops, seed) if crops else None
        self._reader = Reader(source, frame, max_corrupt, cut)

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches in one pass over the source."""
        return self._order.batches_per_epoch

    @property
    def corrupt(self) -> list[str]:
        """The names of the corrupt images that this process has found so far."""
        return self._reader.corrupt

    def iterate(self, start_step: int = 0) -> Generator[Batch, None, None]:
        """Yields the batches of `start_step` and of all later steps, without end.

        Args:
          start_step: From 0.

        Yields:
          "index", int32 (rows, U), the places in the source; and an array for each field of the
          source, (rows, U, ...): "image", uint8 (rows, U, H, W, C), and, if the source has labels,
          "label", int32 (rows, U), for most. With crops the fields "crop0", "crop1" and so on
          stand in the place of "image".

        Raises:
          UserError: Too many images are corrupt, or one has the wrong size.
        """
        per_step = len(self._tasks)
        ahead = max(self._prefetch * per_step, self._threads)
        tasks = (
            grain.MapDataset.range(start_step * per_step, sys.maxsize)
            .map(self._load)
            .to_iter_dataset(
                grain.ReadOptions(num_threads=self._threads, prefetch_buffer_size=ahead)
            )
        )
        with contextlib.closing(iter(tasks)) as parts:
            while True:
                yield _join([next(parts) for _ in range(per_step)])

    def _load(self, task: int) -> Batch:
        step, part = divmod(task, len(self._tasks))
        places = self._tasks[part]
        indices = self._order.indices(step, places)
        updates = indices.shape[1]
        flat = indices.ravel().tolist()
        records = self._reader.source.read_many(flat)
        batch = self._reader.empty(len(flat))
        for place, (index, record) in enumerate(zip(flat, records, strict=True)):
            row, update = divmod(place, updates)
            number = step * updates + update
            read = self._reader.read_or_next(index, record, number, places[row])
            for name, decoded in read.items():
                batch[name][place] = decoded
        return {"index": indices} | {
            name: array.reshape(*indices.shape, *array.shape[1:]) for name, array in batch.items()
        }


def load_all(
    source: Source,
    *,
    image_size: int,
    channels: int,
    resize: Resize = "short_side",
    value_range: Range | None = None,
    max_corrupt: int = 0,
    limit: int | None = None,
    threads: int | None = None,
) -> Batch:
    """Reads a whole source into memory, in its own order.

    Corrupt images are left out, so the result may hold fewer images than the source.

    Args:
      source: The images.
      image_size: Height and width, in pixels.
      channels: From 1; see `ssljax.data.decode.open_image`.
      resize: See `ssljax.data.fit.place`.
      value_range: See `ssljax.data.decode.open_image`.
      max_corrupt: How many images may be corrupt.
      limit: Read only the first so many records.
      threads: How many threads read and decode, from 1. By default one for each CPU, at most 16.

    Returns:
      An array for each field of the source: "image", uint8 (N, H, W, C), and, if the source has
      labels, "label", int32 (N,), for most.

    Raises:
      UserError: Too many images are corrupt, or one has the wrong size.
    """
    size = len(source) if limit is None else min(limit, len(source))
    reader = Reader(source, Frame(image_size, channels, resize, value_range), max_corrupt)
    arrays = reader.empty(size)
    is_sound = np.ones(size, bool)

    def load(part: range) -> None:
        for index, record in zip(part, source.read_many(part), strict=True):
            decoded = reader.read(index, record)
            is_sound[index] = decoded is not None
            for name, array in (decoded or {}).items():
                arrays[name][index] = array

    parts = [range(i, min(i + _IMAGES_PER_TASK, size)) for i in range(0, size, _IMAGES_PER_TASK)]
    with ThreadPoolExecutor(threads or default_threads()) as pool:
        futures = [pool.submit(load, part) for part in parts]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
    if is_sound.all():
        return arrays
    return {name: array[is_sound] for name, array in arrays.items()}


def index_batches(
    size: int,
    *,
    batch_size: int,
    seed: int,
    batches_per_step: int = 1,
    rows: slice = slice(None),
    start_step: int = 0,
) -> Generator[Int32[np.ndarray, "rows updates"], None, None]:
    """Yields the order of a `Loader` as plain indices, for a set that lives on the device.

    Args:
      size: Number of samples.
      batch_size: Samples in a global batch, over all processes.
      seed: Fixes the order; any integer from 0.
      batches_per_step: Batches that one step uses, U.
      rows: The places in the global batch that this process wants.
      start_step: The first step.

    Yields:
      Indices, int32 (rows, U), for each step, without end.

    Raises:
      UserError: The set is smaller than a batch.
    """
    order = Order(size, batch_size, seed, batches_per_step)
    return (order.indices(step, rows) for step in count(start_step))


def default_threads() -> int:
    """One thread for each CPU, at most 16."""
    return min(16, os.cpu_count() or 1)


def _join(parts: Sequence[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
