"""A source once and in its own order, batch by batch: what an evaluation reads."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
from jaxtyping import Int

from ssljax.data.decode import Range
from ssljax.data.fields import NOTHING, Frame
from ssljax.data.fit import Resize
from ssljax.data.pipeline import Batch, default_threads
from ssljax.data.reading import Reader
from ssljax.data.sources.base import Source

_IMAGES_PER_TASK = 32
_BATCHES_AHEAD = 2


class Scan:
    """Passes over a source. Every pass reads and decodes again, and no image is kept.

    Attributes:
      source: The images.
      batch_size: Rows of a global batch, over all processes.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        image_size: int,
        channels: int,
        resize: Resize = "short_side",
        value_range: Range | None = None,
        rows: slice = slice(None),
        order: Int[np.ndarray, "records"] | None = None,
        threads: int | None = None,
        max_corrupt: int = 0,
        keep: bool = False,
        in_config: bool = True,
    ) -> None:
        """Plans the passes; nothing is read yet.

        Args:
          source: The images.
          batch_size: Rows of a global batch, over all processes.
          image_size: Height and width, in pixels.
          channels: From 1; see `ssljax.data.decode.open_image`.
          resize: See `ssljax.data.fit.place`.
          value_range: See `ssljax.data.decode.open_image`.
          rows: The places in the global batch that this process loads.
          order: The places in the source that are read, in this order; all by default.
          threads: How many threads read and decode. By default one for each CPU, at most 16.
          max_corrupt: How many different images may be corrupt.
          keep: Whether the decoded batches of the first pass are kept for the later ones: for a set
            so small that its pixels take less room than decoding them again takes time.
          in_config: Whether the user has a config, whose keys messages may name.
        """
        self.source = source
        self._places = np.arange(len(source)) if order is None else order
        self.batch_size = batch_size
        self._rows = range(*rows.indices(batch_size))
        self._threads = threads or default_threads()
        frame = Frame(image_size, channels, resize, value_range)
        self._reader = Reader(source, frame, max_corrupt, in_config=in_config)
        self._keep = keep
        self._kept: list[Batch] | None = None

    def __len__(self) -> int:
        """How many records a pass reads, the corrupt ones included."""
        return len(self._places)

    def __iter__(self) -> Iterator[Batch]:
        """Yields the batches of one pass.

        Yields:
          An array for each field of the source, (rows, ...), such as "image", uint8 (rows, H, W,
          C); "label", int32 (rows,), in any case, -1 where there is none; and "index", int32
          (rows,), the place in the source. All batches are of one size: a row that is not
          there, behind the end or because its image is corrupt, has the index -1.

        Raises:
          UserError: Too many images are corrupt, or one has the wrong size.
        """
        if self._kept is not None:
            yield from self._kept
            return
        passed = []
        for batch in self._read():
            if self._keep:
                passed.append(batch)
            yield batch
        if self._keep:
            self._kept = passed

    def _read(self) -> Iterator[Batch]:
        pool = ThreadPoolExecutor(self._threads)
        try:
            submitted = (
                self._submit(pool, start) for start in range(0, len(self), self.batch_size)
            )
            ahead = deque(islice(submitted, 1 + _BATCHES_AHEAD))
            while ahead:
                batch, tasks = ahead.popleft()
                for task in tasks:
                    task.result()
                yield batch
                ahead.extend(islice(submitted, 1))
        finally:
            pool.shutdown(cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, start: int) -> tuple[Batch, list[Future[None]]]:
        """Starts to fill the batch that begins at a row of the pass."""
        count = len(self._rows)
        nothing = np.full(count, NOTHING, np.int32)
        batch: Batch = {"label": nothing, "index": nothing.copy()} | self._reader.empty(count)
        places = self._places[start : start + self.batch_size][self._rows.start : self._rows.stop]
        tasks = [
            pool.submit(self._fill, batch, first, places[first : first + _IMAGES_PER_TASK].tolist())
            for first in range(0, len(places), _IMAGES_PER_TASK)
        ]
        return batch, tasks

    def _fill(self, batch: Batch, first: int, places: list[int]) -> None:
        records = self.source.read_many(places)
        for row, (place, record) in enumerate(zip(places, records, strict=True), first):
            decoded = self._reader.read(place, record)
            if decoded is not None:
                batch["index"][row] = place
                for name, array in decoded.items():
                    batch[name][row] = array
