"""From a generator to its scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from ssljax.evals.generative.extractor import Extractor
from ssljax.evals.generative.reference import Reference
from ssljax.evals.generative.score import Score
from ssljax.evals.generative.statistics import SetStatistics, check_count, measure
from ssljax.metrics.coverage import class_coverage
from ssljax.metrics.fid import frechet_distance
from ssljax.metrics.inception_score import inception_score
from ssljax.metrics.kid import kernel_distance
from ssljax.metrics.precision_recall import precision_recall

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


def measure_samples(
    sample: Sample,
    extractor: Extractor,
    *,
    key: PRNGKeyArray,
    count: int,
    image_shape: tuple[int, int, int],
    mesh: Mesh,
    batch_size: int = 256,
) -> SetStatistics:
    """Draws images and measures them, batch by batch.

    Args:
      sample: Gives `n` images in 0 to 255 from a key; the same in every process.
      extractor: What gives the features.
      key: From which a key for each batch of samples is derived.
      count: How many images are generated; the literature's FID uses 50,000.
      image_shape: (height, width, channels) that they must have.
      mesh: The devices; a batch is split over all axes.
      batch_size: Images that are drawn and passed through the extractor at once.

    Raises:
      UserError: If there are fewer than the extractor has features, too few to estimate a
        covariance.
      ValueError: If samples are not bytes of that shape, the features are not one row an image, or
        one is not finite.
    """
    check_count(count, "generated", extractor, image_shape)
    drawn = _draw(sample, key, count, batch_size, image_shape, mesh)
    return measure(extractor, drawn, mesh=mesh, count=count)


def compare(
    fake: SetStatistics,
    reference: Reference,
    extractor: Extractor,
    metrics: Collection[str] = _METRICS,
) -> dict[str, Score]:
    """Scores images that were measured against real ones.

    Args:
      fake: Of generated images, or of other real ones in their place.
      reference: The real images.
      extractor: What gave the features of both.
      metrics: Which of the scores are wanted.

    Returns:
      Scores by metric: "fid"; "kid" over 100 subsets of 1,000 images, or of all where a set has
      no more, and then without a spread; "precision" and "recall" by 3 neighbours; "is" over 10
      parts, where the extractor has logits; "class_kl" and "classes_hit", as `class_coverage` gives
      them, where real images have classes.
    """
    real = reference.measured
    count, reference_count = len(fake.features), len(real.features)

    def score(metric: str, value: float, spread: float | None = None) -> Score:
        return Score(
            metric=metric,
            value=value,
            count=count,
            reference_count=0 if metric == "is" else reference_count,
            dataset=reference.dataset,
            split=reference.split,
            resizer=extractor.resizer,
            extractor=extractor.name,
            spread=spread,
        )

    scores = []
    if "fid" in metrics:
        distance = frechet_distance(real.mean, real.covariance, fake.mean, fake.covariance)
        scores.append(score("fid", distance))
    if "kid" in metrics:
        size = min(_SUBSET_SIZE, count, reference_count)
        kernel = kernel_distance(fake.features, real.features, _SUBSETS, size)
        scores.append(score("kid", *kernel))
    if {"precision", "recall"} & set(metrics):
        precision, recall = precision_recall(fake.features, real.features, _NEIGHBOR)
        scores += [score("precision", precision), score("recall", recall)]
    if {"class_kl", "classes_hit"} & set(metrics) and reference.num_classes:
        divergence, hit = class_coverage(
            fake.features, real.features, reference.labels, reference.num_classes
        )
        scores += [score("class_kl", divergence), score("classes_hit", float(hit))]
    if "is" in metrics and fake.logits is not None:
        scores.append(score("is", *inception_score(fake.logits)))
    return {result.metric: result for result in scores if result.metric in metrics}


def _draw(
    sample: Sample,
    key: PRNGKeyArray,
    count: int,
    batch_size: int,
    shape: tuple[int, ...],
    mesh: Mesh,
) -> Iterator[Mapping[str, np.ndarray]]:
    """Draws batches of one size, so that the generator compiles once, and gives local rows."""
    size = -(-batch_size // mesh.size) * mesh.size
    here = _local_rows(mesh, size)
    for number, start in enumerate(range(0, count, batch_size)):
        images = _to_host(sample(jax.random.fold_in(key, number), batch_size))
        if images.shape != (batch_size, *shape) or images.dtype != np.uint8:
            raise ValueError(
                f"The generator gave {images.dtype} of shape {images.shape}; it must give uint8 of "
                f"shape {(batch_size, *shape)}, like the real images."
            )
        rows = np.arange(size)
        places = np.where(rows < min(batch_size, count - start), start + rows, -1)
        yield {
            "image": np.pad(images, [(0, size - batch_size), (0, 0), (0, 0), (0, 0)])[here],
            "label": np.full(size, -1, np.int32)[here],
            "index": places.astype(np.int32)[here],
        }


def _local_rows(mesh: Mesh, size: int) -> slice:
    """The rows of a batch that lie on devices of this process."""
    sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    indices = sharding.addressable_devices_indices_map((size,)).values()
    bounds = [index[0].indices(size)[:2] for index in indices if index is not None]
    return slice(min(start for start, _ in bounds), max(stop for _, stop in bounds))


def _to_host(array: Array | np.ndarray) -> np.ndarray:
    """The whole array, in every process."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return multihost_utils.process_allgather(array, tiled=True)
    return np.asarray(array)
