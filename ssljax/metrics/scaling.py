"""Standardised features: mean 0 and variance 1, whatever the scale of each feature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Real

_CHUNK_BYTES = 2**24
# A constant with float32 rounding deviates by a few units in the last place.
_ROUNDING = 4 * float(np.finfo(np.float32).eps)


class Standardization(NamedTuple):
    """What standardises features.

    Attributes:
      mean: Of each feature.
      scale: One over the standard deviation of each; 0 for one that is constant.
    """

    mean: Float[np.ndarray, "dim"]
    scale: Float[np.ndarray, "dim"]

    def apply(self, features: Real[np.ndarray, "rows dim"]) -> Float32[np.ndarray, "rows dim"]:
        """Standardises rows; apart from the result only a few of them are held in float64.

        Args:
          features: Features like those of the statistics.
        """
        result = np.empty(features.shape, np.float32)
        for part in _parts(features):
            result[part] = (features[part] - self.mean[None]) * self.scale[None]
        return result


def standardization(train: Real[np.ndarray, "rows dim"]) -> Standardization:
    """Takes the statistics of train, as `standardizations_of` does.

    Args:
      train: Features, at least one row.
    """
    return standardizations_of(lambda: ({"x": train[part]} for part in _parts(train)))["x"]


def standardizations_of(
    parts: Callable[[], Iterable[Mapping[str, Real[np.ndarray, "_ _dim"]]]],
) -> dict[str, Standardization]:
    """Takes the statistics of features, of one layer or of several, that come part by part.

    The deviation is found in a second pass, about the mean, in float64. A feature is constant where
    its deviation is no more than the rounding of its own magnitude in float32: neither the unit nor
    the other features matter.

    Args:
      parts: Gives the parts of one pass by layer, at least one row in all; called twice.

    Returns:
      The statistics of each layer.
    """
    rows: dict[str, int] = {}
    totals: dict[str, np.ndarray] = {}
    for part in parts():
        for layer, x in part.items():
            rows[layer] = rows.get(layer, 0) + len(x)
            totals.setdefault(layer, np.zeros(x.shape[1]))
            totals[layer] += np.sum(x, axis=0, dtype=np.float64)
    means = {layer: total / rows[layer] for layer, total in totals.items()}
    squares = {layer: np.zeros(mean.shape) for layer, mean in means.items()}
    for part in parts():
        for layer, x in part.items():
            squares[layer] += np.sum(np.square(x - means[layer][None]), axis=0)
    return {
        layer: Standardization(mean, _scale(mean, np.sqrt(squares[layer] / rows[layer])))
        for layer, mean in means.items()
    }


def _scale(mean: Float[np.ndarray, "dim"], std: Float[np.ndarray, "dim"]) -> np.ndarray:
    varies = std > _ROUNDING * np.abs(mean)
    return np.divide(1.0, std, out=np.zeros(len(std)), where=varies)


def standardize(
    train: Real[np.ndarray, "train dim"], *others: Real[np.ndarray, "other dim"]
) -> tuple[Float32[np.ndarray, "rows dim"], ...]:
    """Gives each feature mean 0 and variance 1 on train; others use the statistics of train.

    Args:
      train: Features whose statistics count. A feature that is constant there becomes 0.
      *others: More features of the same kind.

    Returns:
      All of them in order, as float32.
    """
    statistics = standardization(train)
    return tuple(statistics.apply(features) for features in (train, *others))


def _parts(features: np.ndarray) -> Iterator[slice]:
    """Consecutive rows, few enough that their float64 copies stay small."""
    rows = max(1, _CHUNK_BYTES // (8 * max(features.shape[1], 1)))
    return (slice(start, start + rows) for start in range(0, len(features), rows))
