"""Features of the real images, kept on disk between evaluations."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

_log = logging.getLogger(__name__)
_FORMAT = 1
_ARRAYS = ("features", "mean", "covariance")


@dataclasses.dataclass(frozen=True)
class SetStatistics:
    """What the scores need of a set of images.

    Attributes:
      features: Features of every image, in float32.
      mean: Their mean.
      covariance: Their unbiased covariance.
    """

    features: Float[np.ndarray, "rows dim"]
    mean: Float[np.ndarray, "dim"]
    covariance: Float[np.ndarray, "dim dim"]


@dataclasses.dataclass(frozen=True)
class ReferenceKey:
    """All that the features of a reference set depend on.

    Attributes:
      dataset: Name of the data set.
      split: Its split.
      count: Number of images.
      image_shape: (height, width, channels) of the images before any resizing.
      images: SHA-256 of the pixels, as `digest_images` gives it.
      extractor: Name of the extractor.
      weights: SHA-256 of its weights.
      resizer: How images are brought to its size.
    """

    dataset: str
    split: str
    count: int
    image_shape: tuple[int, int, int]
    images: str
    extractor: str
    weights: str
    resizer: str

    @property
    def text(self) -> str:
        """The key as JSON; two keys are equal where their texts are."""
        return json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, sort_keys=True)

    def path(self, directory: Path) -> Path:
        """The file of this key in a directory."""
        return directory / f"{hashlib.sha256(self.text.encode()).hexdigest()[:32]}.npz"


def digest_images(images: UInt8[np.ndarray, "rows height width channels"]) -> str:
    """SHA-256 of the pixels, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def save_reference(directory: Path, key: ReferenceKey, statistics: SetStatistics) -> None:
    """Writes statistics under their key; a reader sees the whole file or none.

    Args:
      directory: Made where it is missing.
      key: What the statistics depend on.
      statistics: Of the reference set.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=directory, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            arrays = {name: getattr(statistics, name) for name in _ARRAYS}
            np.savez(file, key=np.array(key.text), **arrays)
        os.replace(temporary, key.path(directory))
    except BaseException:
        os.unlink(temporary)
        raise


def load_reference(directory: Path, key: ReferenceKey) -> SetStatistics | None:
    """Reads the statistics of a key.

    Args:
      directory: Where they were saved.
      key: What they must depend on.

    Returns:
      The statistics; None if there are none, or, with a warning, if the file is damaged or of
      another key.
    """
    path = key.path(directory)
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = str(arrays["key"])
            features, mean, covariance = (arrays[name] for name in _ARRAYS)
        if found != key.text:
            reason = "is of another set or extractor"
        else:
            _check(key, features, mean, covariance)
            return SetStatistics(features, mean, covariance)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        reason = f"is damaged ({error})"
    _log.warning("The reference statistics in %s %s: they are computed anew.", path, reason)
    return None


def _check(key: ReferenceKey, features: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> None:
    """Raises a `ValueError` unless the arrays fit the key and one another."""
    dim = mean.size
    shapes = (features.shape, mean.shape, cov.shape)
    types = (features.dtype, mean.dtype, cov.dtype)
    if shapes != ((key.count, dim), (dim,), (dim, dim)):
        raise ValueError(f"its arrays have shapes {shapes}")
    if types != (np.float32, np.float64, np.float64):
        raise ValueError(f"its arrays have types {types}")
    if not all(np.isfinite(array).all() for array in (features, mean, cov)):
        raise ValueError("not all of its numbers are finite")
