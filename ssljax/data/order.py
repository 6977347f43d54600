"""The order of the samples: a pure function of (seed, step, place in the global batch).

Nothing is stored and nothing is restored. A run that starts at any step, on any number of
processes, asks for the same images as one that never stopped.
"""

import functools
import threading

import numpy as np
from jaxtyping import Int32

from ssljax.errors import UserError


class Order:
    """Which sample goes where.

    With `U` batches per step, step `s` uses the batches `s * U ... s * U + U - 1` of one endless
    sequence. Each epoch is a new permutation, cut into whole batches; the remainder, less than a
    batch, is left out.

    Any number of threads may use it.
    """

    def __init__(self, size: int, batch_size: int, seed: int, batches_per_step: int = 1) -> None:
        """Fixes the order.

        Args:
          size: Number of samples, N.
          batch_size: Samples in a global batch, B, from 1 to N.
          seed: Any integer from 0.
          batches_per_step: Batches that one step uses, U, from 1.

        Raises:
          UserError: The set is smaller than a batch.
          ValueError: If a number is out of its range.
        """
        if min(batch_size, batches_per_step) < 1 or seed < 0:
            raise ValueError(
                "batch_size and batches_per_step must be at least 1 and seed at least 0, got"
                f" {batch_size}, {batches_per_step} and {seed}"
            )
        if size < batch_size:
            raise UserError(
                f"The data set has {size} images, fewer than one batch of {batch_size}: make"
                " config.batch_size smaller or choose a larger set."
            )
        self.batch_size = batch_size
        self.batches_per_step = batches_per_step
        self.batches_per_epoch = size // batch_size
        self._lock = threading.Lock()
        # The epochs that one step may touch, and the next, which is being prefetched.
        self._permutation = functools.lru_cache(maxsize=batches_per_step + 2)(
            functools.partial(_permutation, size, seed)
        )

    def indices(
        self, step: int, rows: range | slice = slice(None)
    ) -> Int32[np.ndarray, "rows updates"]:
        """The samples of one step.

        Args:
          step: From 0.
          rows: The places in the global batch, for instance those of one process.

        Returns:
          Indices of samples, (rows, batches_per_step).
        """
        if isinstance(rows, slice):
            rows = range(*rows.indices(self.batch_size))
        places = np.array(rows, dtype=np.intp)
        first = step * self.batches_per_step
        batches = range(first, first + self.batches_per_step)
        return np.stack([self._batch(number)[places] for number in batches], axis=1)

    def _batch(self, number: int) -> np.ndarray:
        epoch, place = divmod(number, self.batches_per_epoch)
        # One thread makes a new epoch, and the others wait for it.
        with self._lock:
            permutation = self._permutation(epoch)
        return permutation[place * self.batch_size : (place + 1) * self.batch_size]


def _permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch: the ranks of random 64-bit numbers.

    NumPy keeps the raw stream of a bit generator the same in all versions (NEP 19), but not the
    results of `Generator.permutation`.
    """
    source = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(epoch,)))
    return np.argsort(source.random_raw(size), kind="stable").astype(np.int32)
