"""From a generator to its scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from ssljax.errors import UserError
from ssljax.evals.generative.coverage import class_coverage
from ssljax.evals.generative.extractor import Extractor
from ssljax.evals.generative.fid import frechet_distance
from ssljax.evals.generative.inception_score import inception_score
from ssljax.evals.generative.kid import kernel_distance
from ssljax.evals.generative.precision_recall import precision_recall
from ssljax.evals.generative.reference import (
    ReferenceKey,
    SetStatistics,
    digest_images,
    load_reference,
    save_reference,
)
from ssljax.evals.generative.score import Score
from ssljax.evals.generative.statistics import Moments

Images = UInt8[np.ndarray, "batch height width channels"]
Sample = Callable[[PRNGKeyArray, int], UInt8[Array | np.ndarray, "batch height width channels"]]

_METRICS = ("fid", "kid", "precision", "recall", "is", "class_kl", "classes_hit")
_NEIGHBOR = 3
_SUBSETS, _SUBSET_SIZE = 100, 1000


def to_pixels(images: Float[Array, "*shape"]) -> UInt8[Array, "*shape"]:
    """Turns a generator's output in [-1, 1] into bytes, on one scale for every image.

    Args:
      images: The output of a tanh; what lies outside is clipped. It is never stretched to its own
        extremes, which would hide that a generator lacks contrast.

    Returns:
      round(127.5 (x + 1)).
    """
    scaled = jnp.round(127.5 * (images.astype(jnp.float32) + 1.0))
    return jnp.clip(scaled, 0.0, 255.0).astype(jnp.uint8)


def evaluate_generator(
    sample: Sample,
    reference_images: UInt8[np.ndarray, "rows height width channels"],
    extractor: Extractor,
    *,
    key: PRNGKeyArray,
    count: int,
    dataset: str,
    split: str,
    mesh: Mesh,
    batch_size: int = 256,
    cache: Path | None = None,
    classes: tuple[Int[np.ndarray, "rows"], int] | None = None,
    metrics: Collection[str] = _METRICS,
) -> dict[str, Score]:
    """Scores a generator against real images, in one pass over each set.

    Args:
      sample: Gives `n` images in 0 to 255 from a key; the same in every process.
      reference_images: The real images, of the same size; the same in every process.
      extractor: What gives the features.
      key: From which a key for each batch of samples is derived.
      count: How many images are generated; the literature's FID uses 50,000.
      dataset: Where the real images are from.
      split: Which of them.
      mesh: The devices; a batch is split over all axes.
      batch_size: Images that are drawn and passed through the extractor at once.
      cache: A directory in which the features of the real images are kept.
      classes: Classes of the real images, where they are known, and how many there are.
      metrics: Which of the scores are wanted.

    Returns:
      Scores by metric: "fid"; "kid" over 100 subsets of 1,000 images, or of all where a set has
      no more, and then without a spread; "precision" and "recall" by 3 neighbours; "is" over 10
      parts, where the extractor has logits; "class_kl" and "classes_hit", as `class_coverage` gives
      them, where classes are known.

    Raises:
      UserError: if a set has fewer images than the extractor has features, of which a covariance
        cannot be told.
      ValueError: if samples are not bytes of the size of the real images, or the features are not
        one row an image, or one is not finite.
    """
    dim = _feature_count(extractor, (batch_size, *reference_images.shape[1:]))
    if min(count, len(reference_images)) < dim:
        raise UserError(
            f"{count} generated and {len(reference_images)} real images are too few for the "
            f"{dim} features of {extractor.name}: take at least {dim} of both."
        )
    real = _reference(reference_images, extractor, dataset, split, mesh, batch_size, cache)
    drawn = _draw(sample, key, count, batch_size, reference_images.shape[1:])
    fake, logits = _pass(extractor, drawn, mesh, batch_size)

    def score(metric: str, value: float, spread: float | None = None) -> Score:
        return Score(
            metric=metric,
            value=value,
            count=count,
            reference_count=0 if metric == "is" else len(reference_images),
            dataset=dataset,
            split=split,
            resizer=extractor.resizer,
            extractor=extractor.name,
            spread=spread,
        )

    scores = []
    if "fid" in metrics:
        distance = frechet_distance(real.mean, real.covariance, fake.mean, fake.covariance)
        scores.append(score("fid", distance))
    if "kid" in metrics:
        size = min(_SUBSET_SIZE, count, len(reference_images))
        kernel = kernel_distance(fake.features, real.features, _SUBSETS, size)
        scores.append(score("kid", *kernel))
    if {"precision", "recall"} & set(metrics):
        precision, recall = precision_recall(fake.features, real.features, _NEIGHBOR)
        scores += [score("precision", precision), score("recall", recall)]
    if {"class_kl", "classes_hit"} & set(metrics) and classes is not None:
        divergence, hit = class_coverage(fake.features, real.features, *classes)
        scores += [score("class_kl", divergence), score("classes_hit", float(hit))]
    if "is" in metrics and logits is not None:
        scores.append(score("is", *inception_score(logits)))
    return {result.metric: result for result in scores if result.metric in metrics}


def _feature_count(extractor: Extractor, shape: tuple[int, ...]) -> int:
    """How many features an image has, before any is computed."""
    features = jax.eval_shape(extractor.features, jax.ShapeDtypeStruct(shape, jnp.uint8))
    if features.ndim != 2:
        raise ValueError(
            f"{extractor.name} gives features of shape {features.shape} for images of shape "
            f"{shape}: it must give one row an image, (batch, dim)."
        )
    return features.shape[1]


def _draw(
    sample: Sample, key: PRNGKeyArray, count: int, batch_size: int, shape: tuple[int, ...]
) -> Iterator[Images]:
    """Draws batches of one size, so that the generator compiles once, and cuts the last one."""
    for index, start in enumerate(range(0, count, batch_size)):
        images = _to_host(sample(jax.random.fold_in(key, index), batch_size))
        if images.shape != (batch_size, *shape) or images.dtype != np.uint8:
            raise ValueError(
                f"The generator gave {images.dtype} of shape {images.shape}; it must give uint8 of "
                f"shape {(batch_size, *shape)}, like the real images."
            )
        yield images[: count - start]


def _reference(
    images: UInt8[np.ndarray, "rows height width channels"],
    extractor: Extractor,
    dataset: str,
    split: str,
    mesh: Mesh,
    batch_size: int,
    cache: Path | None,
) -> SetStatistics:
    """Statistics of the real images, from the cache where it has them."""
    key = ReferenceKey(
        dataset=dataset,
        split=split,
        count=len(images),
        image_shape=images.shape[1:],
        images=digest_images(images),
        extractor=extractor.name,
        weights=extractor.digest,
        resizer=extractor.resizer,
    )
    found = None if cache is None else load_reference(cache, key)
    # Where one process lacks the file, all must take part in computing it.
    if np.all(multihost_utils.process_allgather(np.array(found is not None))) and found is not None:
        return found
    batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
    statistics, _ = _pass(extractor, batches, mesh, batch_size)
    if cache is not None and jax.process_index() == 0:
        save_reference(cache, key, statistics)
    return statistics


def _pass(
    extractor: Extractor, batches: Iterable[Images], mesh: Mesh, batch_size: int
) -> tuple[SetStatistics, Float[np.ndarray, "rows classes"] | None]:
    """Statistics and, where the extractor has them, logits of a set, batch by batch."""
    size = -(-batch_size // mesh.size) * mesh.size
    sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    moments: Moments | None = None
    kept, logits = [], []
    for images in batches:
        rows = len(images)
        padded = np.pad(images, [(0, size - rows), (0, 0), (0, 0), (0, 0)])
        placed = jax.make_array_from_callback(padded.shape, sharding, padded.__getitem__)
        features = extractor.features(placed).astype(jnp.float32)
        if moments is None:
            moments = Moments(features.shape[1])
        moments.update(features, rows)
        kept.append(_to_host(features)[:rows])
        if extractor.logits is not None:
            logits.append(_to_host(extractor.logits(features))[:rows])
    assert moments is not None
    moments = moments.over_processes()
    statistics = SetStatistics(np.concatenate(kept), moments.mean, moments.covariance)
    return statistics, np.concatenate(logits) if logits else None


def _to_host(array: Array | np.ndarray) -> np.ndarray:
    """The whole array, in every process."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return multihost_utils.process_allgather(array, tiled=True)
    return np.asarray(array)
