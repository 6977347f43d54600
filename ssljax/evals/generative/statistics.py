"""What the scores need of a set of images: features, and their mean and covariance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from ssljax.errors import UserError
from ssljax.evals.extract import extract
from ssljax.evals.generative.extractor import Extractor

_CHUNK = 4096


@dataclasses.dataclass(frozen=True)
class SetStatistics:
    """What the scores need of a set of images.

    Attributes:
      features: Features of every image, in float32.
      mean: Their mean.
      covariance: Their unbiased covariance.
      logits: Of every image, where the extractor has them.
    """

    features: Float[np.ndarray, "rows dim"]
    mean: Float[np.ndarray, "dim"]
    covariance: Float[np.ndarray, "dim dim"]
    logits: Float[np.ndarray, "rows classes"] | None = None


def measure(
    extractor: Extractor, batches: Iterable[Mapping[str, np.ndarray]], *, mesh: Mesh, count: int
) -> SetStatistics:
    """Passes images through the extractor once.

    Args:
      extractor: What gives the features.
      batches: The images, as `ssljax.evals.extract` takes them.
      mesh: The devices.
      count: How many images there are at most.

    Returns:
      Their statistics, the same in every process.

    Raises:
      ValueError: If a feature is not finite.
    """

    def outputs(images: Array) -> dict[str, Array]:
        features = extractor.features(images).astype(jnp.float32)
        if extractor.logits is None:
            return {"features": features}
        return {"features": features, "logits": extractor.logits(features)}

    found = extract(outputs, batches, mesh=mesh, count=count).outputs
    return summarize(found["features"], found.get("logits"))


def summarize(
    features: Float[np.ndarray, "rows dim"],
    logits: Float[np.ndarray, "rows classes"] | None = None,
) -> SetStatistics:
    """Gives features of images, and their logits, with what the scores need besides.

    Raises:
      ValueError: If a feature is not finite, or there are fewer than two rows.
    """
    moments = Moments(features.shape[1])
    for start in range(0, len(features), _CHUNK):
        moments.update(features[start : start + _CHUNK])
    return SetStatistics(features, moments.mean, moments.covariance, logits)


def check_count(count: int, kind: str, extractor: Extractor, image_shape: tuple[int, ...]) -> None:
    """Raises a `UserError` if a set has fewer images than the extractor has features.

    Args:
      count: How many images there are.
      kind: What they are called.
      extractor: What gives the features.
      image_shape: (height, width, channels) of the images.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.uint8)
    shape = jax.eval_shape(extractor.features, images).shape
    if len(shape) != 2:
        raise ValueError(
            f"{extractor.name} gives features of shape {shape} for images of shape {images.shape}: "
            "it must give one row an image, (batch, dim)."
        )
    if count < shape[1]:
        raise UserError(
            f"{count} {kind} images are too few for the {shape[1]} features of {extractor.name}: "
            f"take at least {shape[1]}."
        )


class Moments:
    """The running count, mean and covariance of the rows seen so far, in float64.

    Parts are merged by Chan's update, which subtracts no two large numbers: the result is that of
    the rows all at once, whatever the batches.

    Args:
      dim: Size of a row.

    Reference:
      Chan, Golub & LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
      Variances, 1979, eq. 2.1.
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

    def update(self, rows: Float[np.ndarray, "rows dim"]) -> None:
        """Adds a batch.

        Args:
          rows: Features of any float type.

        Raises:
          ValueError: If a feature is not finite.
        """
        if len(rows) == 0:
            return
        if not np.isfinite(rows).all():
            raise ValueError("Features are not finite: a score of them would mean nothing.")
        rows = rows.astype(np.float64)
        mean = rows.mean(axis=0)
        deviations = rows - mean
        self.merge(len(rows), mean, deviations.T @ deviations)

    def merge(
        self,
        count: int,
        mean: Float[np.ndarray, "dim"],
        scatter: Float[np.ndarray, "dim dim"],
    ) -> None:
        """Merges the moments of other rows.

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
