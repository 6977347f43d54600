"""Mean and covariance of features that come in batches, on any number of devices."""

from __future__ import annotations

import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Array, Float


class Moments:
    """The running count, mean and covariance of the rows seen so far, in float64.

    Parts are merged by Chan's update, which subtracts no two large numbers: the result is that of
    the rows all at once, whatever the batches and the devices.

    Args:
      dim: Size of a row.

    Reference:
      Chan, Golub & LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
      Variances, 1979, Eq. 2.1.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.mean = np.zeros(dim)
        self._scatter = np.zeros((dim, dim))

    @property
    def covariance(self) -> Float[np.ndarray, "dim dim"]:
        """The unbiased covariance; of fewer than two rows there is none.

        Raises:
          ValueError: If there are fewer than two rows.
        """
        if self.count < 2:
            raise ValueError(f"A covariance needs at least 2 rows, not {self.count}.")
        return self._scatter / (self.count - 1)

    def update(
        self, features: Float[Array | np.ndarray, "rows dim"], valid: int | None = None
    ) -> None:
        """Takes in a batch; of one that is split over devices, the parts of this process.

        Args:
          features: Features of any float type.
          valid: How many of the first rows count, all by default: the rest is padding.

        Raises:
          ValueError: If a feature is not finite.
        """
        rows = len(features)
        valid = rows if valid is None else valid
        if isinstance(features, np.ndarray):
            self._update_part(features[:valid])
            return
        for shard in features.addressable_shards:
            # Of copies of the same rows, one counts.
            if shard.replica_id == 0:
                start, stop, _ = shard.index[0].indices(rows)
                self._update_part(np.asarray(shard.data)[: max(min(stop, valid) - start, 0)])

    def merge(
        self,
        count: int,
        mean: Float[np.ndarray, "dim"],
        scatter: Float[np.ndarray, "dim dim"],
    ) -> None:
        """Takes in the moments of other rows.

        Args:
          count: How many they are.
          mean: Their mean.
          scatter: The sum over them of the outer products of their deviations from their mean.
        """
        if count == 0:
            return
        total = self.count + count
        shift = mean - self.mean
        self._scatter += scatter + np.outer(shift, shift) * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    def over_processes(self) -> Moments:
        """The moments of all processes' rows together; a collective where there are several."""
        parts = (np.array([self.count], np.float64), self.mean, self._scatter)
        # JAX would round float64 to float32 on the way; as whole numbers the bits stay.
        counts, means, scatters = (
            np.ascontiguousarray(multihost_utils.process_allgather(part.view(np.uint32)))
            .astype(np.uint32)
            .view(np.float64)
            for part in parts
        )
        together = Moments(len(self.mean))
        for count, mean, scatter in zip(counts, means, scatters, strict=True):
            together.merge(int(count[0]), mean, scatter)
        return together

    def _update_part(self, rows: Float[np.ndarray, "rows dim"]) -> None:
        if len(rows) == 0:
            return
        if not np.isfinite(rows).all():
            raise ValueError("Features are not finite: a score of them would mean nothing.")
        rows = rows.astype(np.float64)
        mean = rows.mean(axis=0)
        deviations = rows - mean
        self.merge(len(rows), mean, deviations.T @ deviations)
