"""From a network to its scores: features of whole sets, then every probe on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Num, UInt8

from ssljax.augment import check_bytes
from ssljax.evals.few_label import few_label_probe
from ssljax.evals.knn import knn_accuracies
from ssljax.evals.linear import linear_probe


def extract(
    features: Callable[[Array], Float[Array, "batch dim"]],
    images: UInt8[np.ndarray, "rows height width channels"],
    *,
    mesh: Mesh,
    batch_size: int = 512,
) -> Float[np.ndarray, "rows dim"]:
    """Computes the features of a whole set, batch by batch over all devices.

    Args:
      features: Gives the features of a batch of images; jitted by the caller.
      images: The set; the same in every process.
      mesh: The devices; a batch is split over all axes.
      batch_size: Images at once, rounded up to a multiple of the devices.

    Returns:
      Features of every image, the same in every process.
    """
    batch_size = -(-batch_size // mesh.size) * mesh.size
    sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    parts = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        rows = len(batch)
        batch = np.pad(batch, [(0, batch_size - rows)] + [(0, 0)] * (batch.ndim - 1))
        placed = jax.make_array_from_callback(batch.shape, sharding, batch.__getitem__)
        values = multihost_utils.process_allgather(features(placed), tiled=True)
        parts.append(np.asarray(values, np.float32)[:rows])
    return np.concatenate(parts)


def pool(features: Float[Array, "batch ..."]) -> Float[Array, "batch dim"]:
    """Averages maps (batch, height, width, channels) over places, in float32; leaves the rest."""
    return jnp.mean(features.astype(jnp.float32), axis=tuple(range(1, features.ndim - 1)))


def raw_pixels(
    images: Num[np.ndarray, "rows height width channels"],
) -> Float[np.ndarray, "rows dim"]:
    """The pixels themselves, which must be bytes, as features: the baseline without a network."""
    check_bytes(images)
    return images.reshape(len(images), -1).astype(np.float32) / 255


def accuracy(logits: Float[np.ndarray, "rows classes"], labels: Int[np.ndarray, "rows"]) -> float:
    """Top-1 accuracy of a classifier.

    Args:
      logits: Score of each class.
      labels: The true classes.

    Returns:
      The share of rows whose highest score is that of the true class, in [0, 1].

    Raises:
      ValueError: if a score is not finite.
    """
    if not np.isfinite(logits).all():
        raise ValueError("Logits are not finite: an accuracy of them would mean nothing.")
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def score_features(
    train_x: Float[np.ndarray, "train dim"],
    train_y: Int[np.ndarray, "train"],
    test_x: Float[np.ndarray, "test dim"],
    test_y: Int[np.ndarray, "test"],
    num_classes: int,
    *,
    which: Sequence[str] = ("knn", "linear", "few_label"),
    knn: Sequence[tuple[int, float]] = ((20, 0.07), (200, 0.1)),
    linear_epochs: int = 20,
    few_label: Sequence[float] = (1, 5, 10),
    few_label_seeds: int = 5,
) -> dict[str, float]:
    """Runs the probes on features of one network.

    Args:
      train_x: Features to learn from.
      train_y: Their classes.
      test_x: Features to report on.
      test_y: Their classes.
      num_classes: Number of classes.
      which: Some of "knn", "linear" and "few_label".
      knn: Pairs of (k, temperature).
      linear_epochs: Passes of the linear probe over train.
      few_label: Labels a class; below 1, the share of labels.
      few_label_seeds: Draws of each.

    Returns:
      Accuracies in [0, 1]: "knn20", ..., "linear", "labels_10" (a class) and its spread
      "labels_10_std", "labels_1pct".

    Raises:
      ValueError: if a feature is not finite.
    """
    if not (np.isfinite(train_x).all() and np.isfinite(test_x).all()):
        raise ValueError("Features are not finite: a score of them would mean nothing.")
    sets = (train_x, train_y, test_x, test_y, num_classes)
    scores: dict[str, float] = {}
    if "knn" in which:
        scores |= knn_accuracies(*sets, settings=tuple(knn))
    if "linear" in which:
        scores["linear"] = linear_probe(*sets, epochs=linear_epochs).accuracy
    if "few_label" in which:
        for labels in few_label:
            name = f"labels_{labels:g}" if labels >= 1 else f"labels_{100 * labels:g}pct"
            result = few_label_probe(*sets, labels, few_label_seeds)
            scores |= {name: result.mean, f"{name}_std": result.std}
    return scores
