"""Features of the real images, kept on disk between evaluations."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Int, UInt8, UInt32

from ssljax import paths
from ssljax.evals.extract import extract
from ssljax.evals.generative.extractor import Extractor
from ssljax.evals.generative.statistics import SetStatistics, check_count, measure

_log = logging.getLogger(__name__)
_FORMAT = 2
_ARRAYS = ("features", "mean", "covariance")


@dataclasses.dataclass(frozen=True)
class Reference:
    """The real images that generated ones are compared with.

    Attributes:
      measured: Their features, mean and covariance.
      labels: Their classes; -1 where there is none.
      num_classes: How many classes there are; 0 where no image has one.
      image_shape: (height, width, channels) of the images before any resizing.
      dataset: Where they are from.
      split: Which of them.
    """

    measured: SetStatistics
    labels: Int[np.ndarray, "rows"]
    num_classes: int
    image_shape: tuple[int, int, int]
    dataset: str
    split: str


@dataclasses.dataclass(frozen=True)
class ReferenceKey:
    """All that the features of a reference set depend on.

    Attributes:
      dataset: Name of the data set.
      split: Its split.
      count: Number of images.
      image_shape: (height, width, channels) of the images before any resizing.
      images: SHA-256 of what `digest_images` gives of all images.
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

    def path(self, directory: paths.Path) -> paths.Path:
        """The file of this key in a directory."""
        return directory / f"{hashlib.sha256(self.text.encode()).hexdigest()[:32]}.npz"


def measure_reference(
    batches: Iterable[Mapping[str, np.ndarray]],
    extractor: Extractor,
    *,
    dataset: str,
    split: str,
    image_shape: tuple[int, int, int],
    num_classes: int | None,
    count: int,
    mesh: Mesh,
    cache: paths.Path | None = None,
) -> Reference:
    """Measures the real images: read once for their digest and, unless cached, again for features.

    Args:
      batches: The images, as `ssljax.evals.extract` takes them; iterated anew for every pass.
      extractor: What gives the features.
      dataset: Where the images are from.
      split: Which of them.
      image_shape: (height, width, channels).
      num_classes: How many classes there are, where they are known.
      count: How many images there are at most.
      mesh: The devices.
      cache: A directory in which the features are kept.

    Returns:
      What the scores need of them.

    Raises:
      UserError: If there are fewer images than the extractor has features.
    """
    digests = ({**batch, "image": digest_images(batch["image"])} for batch in batches)
    seen = extract(lambda rows: {"digest": rows}, digests, mesh=mesh, count=count)
    check_count(len(seen.labels), "real", extractor, image_shape)
    key = ReferenceKey(
        dataset=dataset,
        split=split,
        count=len(seen.labels),
        image_shape=image_shape,
        images=hashlib.sha256(seen.outputs["digest"].tobytes()).hexdigest(),
        extractor=extractor.name,
        weights=extractor.digest,
        resizer=extractor.resizer,
    )
    measured = None if cache is None else load_reference(cache, key)
    # Where one process lacks the file, all must take part in computing it.
    if not np.all(multihost_utils.process_allgather(np.array(measured is not None))):
        measured = None
    if measured is None:
        measured = measure(extractor, batches, mesh=mesh, count=count)
        if cache is not None and jax.process_index() == 0:
            save_reference(cache, key, measured)
    classes = num_classes or 0 if (seen.labels >= 0).any() else 0
    return Reference(measured, seen.labels, classes, image_shape, dataset, split)


def digest_images(
    images: UInt8[np.ndarray, "rows height width channels"],
) -> UInt32[np.ndarray, "rows 8"]:
    """SHA-256 of the pixels of each image, as eight numbers."""
    digests = (hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images)
    return np.frombuffer(b"".join(digests), np.uint32).reshape(len(images), 8)


def save_reference(directory: paths.Path, key: ReferenceKey, statistics: SetStatistics) -> None:
    """Writes statistics under their key; a reader sees the whole file or none.

    Args:
      directory: Made where it is missing.
      key: What the statistics depend on.
      statistics: Of the reference set.
    """
    content = io.BytesIO()
    arrays = {name: getattr(statistics, name) for name in _ARRAYS}
    np.savez(content, key=np.array(key.text), **arrays)
    if paths.is_remote(directory):
        paths.write(key.path(directory), content.getvalue())
        return
    directory.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=directory, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.getbuffer())
        os.replace(temporary, key.path(directory))
    except BaseException:
        os.unlink(temporary)
        raise


def load_reference(directory: paths.Path, key: ReferenceKey) -> SetStatistics | None:
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
