"""Weighted k-nearest-neighbour classification of frozen features.

Reference:
  Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, 2018, section
  3.4. Caron et al., DINO, 2021, use the same vote.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Real

from ssljax.metrics.labels import labelled
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import inner_products

Settings = Sequence[tuple[int, float]]

_TEST_CHUNK = 1024
_TRAIN_CHUNK = 16384


def knn_predict(
    train_features: Real[Array | np.ndarray, "train dim"],
    train_labels: Int[Array | np.ndarray, "train"],
    test_features: Real[Array | np.ndarray, "test dim"],
    num_classes: int,
    k: int = 200,
    temperature: float = 0.1,
    chunk: tuple[int, int] = (_TEST_CHUNK, _TRAIN_CHUNK),
) -> Int[np.ndarray, "test"]:
    """Predicts the class of each test row by a weighted vote of its k nearest train rows.

    Features are L2-normalised; a neighbour of cosine similarity s votes with weight exp(s /
    temperature). The train rows pass over the device chunk by chunk with a running top k, so no
    array grows with test rows times train rows, nor with the number of classes.

    Args:
      train_features: Features of the train set, of any scale; pixels may stay bytes.
      train_labels: Classes in [0, num_classes); a row of -1, without a label, is left out.
      test_features: Features to classify.
      num_classes: Number of classes.
      k: Neighbours that vote, at least 1. When it exceeds the number of train rows, all of them
        vote.
      temperature: τ > 0, in the range of float32. Small values let the nearest decide.
      chunk: Rows of (test, train) compared at once; changes memory and speed, never the result.

    Returns:
      The class with most votes for each test row, the lowest class where votes tie.

    Raises:
      ValueError: If k, the temperature or a chunk is not positive, a label is out of its range,
        or no train row has a label.
    """
    settings = ((k, temperature),)
    return _predict(train_features, train_labels, test_features, num_classes, settings, chunk)[0]


def knn_accuracy(
    train_features: Real[Array | np.ndarray, "train dim"],
    train_labels: Int[Array | np.ndarray, "train"],
    test_features: Real[Array | np.ndarray, "test dim"],
    test_labels: Int[Array | np.ndarray, "test"],
    num_classes: int,
    k: int = 200,
    temperature: float = 0.1,
    chunk: tuple[int, int] = (_TEST_CHUNK, _TRAIN_CHUNK),
) -> float:
    """Returns the share of test rows, in [0, 1], that `knn_predict` classifies correctly.

    Args:
      train_features: Features of the train set.
      train_labels: Classes in [0, num_classes); a row of -1, without a label, is left out.
      test_features: Features of the test set.
      test_labels: Their classes, likewise.
      num_classes: Number of classes.
      k: Neighbours that vote.
      temperature: τ of the vote.
      chunk: Rows of (test, train) compared at once.
    """
    settings = ((k, temperature),)
    scores = knn_accuracies(
        train_features, train_labels, test_features, test_labels, num_classes, settings, chunk
    )
    return scores[f"knn{k}"]


def knn_accuracies(
    train_features: Real[Array | np.ndarray, "train dim"],
    train_labels: Int[Array | np.ndarray, "train"],
    test_features: Real[Array | np.ndarray, "test dim"],
    test_labels: Int[Array | np.ndarray, "test"],
    num_classes: int,
    settings: Settings = ((20, 0.07), (200, 0.1)),
    chunk: tuple[int, int] = (_TEST_CHUNK, _TRAIN_CHUNK),
    mesh: Mesh | None = None,
) -> dict[str, float]:
    """Scores several (k, temperature) pairs from one search for the largest k.

    Args:
      train_features: Features of the train set.
      train_labels: Classes in [0, num_classes); a row of -1, without a label, is left out.
      test_features: Features of the test set.
      test_labels: Their classes, likewise.
      num_classes: Number of classes.
      settings: Pairs of (k, temperature).
      chunk: Rows of (test, train) compared at once, on each device.
      mesh: Devices over which the test rows are split; one device by default. The result is the
        same on any.

    Returns:
      Accuracies in [0, 1] under "knn<k>", such as "knn20". A k that stands in several pairs also
      carries its temperature, as in "knn20_t0.07".
    """
    test_features, truth = labelled(test_features, test_labels, num_classes)
    predictions = _predict(
        train_features, train_labels, test_features, num_classes, settings, chunk, mesh
    )
    return {
        name: float(np.mean(predicted == truth))
        for name, predicted in zip(knn_names(settings), predictions, strict=True)
    }


def knn_names(settings: Settings) -> tuple[str, ...]:
    """Names of the scores of (k, temperature) pairs, as `knn_accuracies` gives them."""
    ks = [k for k, _ in settings]
    return tuple(
        f"knn{k}" if ks.count(k) == 1 else f"knn{k}_t{temperature:g}" for k, temperature in settings
    )


def _predict(
    train_features: Real[Array | np.ndarray, "train dim"],
    train_labels: Int[Array | np.ndarray, "train"],
    test_features: Real[Array | np.ndarray, "test dim"],
    num_classes: int,
    settings: Settings,
    chunk: tuple[int, int],
    mesh: Mesh | None = None,
) -> list[Int[np.ndarray, "test"]]:
    """Searches once for the largest k, then votes for each setting."""
    mesh = _one_device() if mesh is None else mesh
    tiny = np.finfo(np.float32).tiny
    if not settings or any(k < 1 or temperature < tiny for k, temperature in settings):
        raise ValueError(f"kNN needs every k >= 1 and temperature > 0, not {tuple(settings)}")
    if min(chunk) < 1:
        raise ValueError(f"chunks need at least one row, not {chunk}")
    train_features, train_labels = labelled(train_features, train_labels, num_classes)
    train, test = train_features.shape[0], test_features.shape[0]
    on_each = -(-test // mesh.size)  # Test rows of a device.
    test_chunk, train_chunk = min(chunk[0], max(on_each, 1)), min(chunk[1], train)
    most = min(max(k for k, _ in settings), train)
    split, whole = (NamedSharding(mesh, spec) for spec in _layouts(mesh))
    padded = _padded(test_features, test_chunk * mesh.size)
    queries, shape = _placed(padded, split), (len(padded), most)
    similarities = _placed(np.full(shape, -np.inf, np.float32), split)
    labels = _placed(np.zeros(shape, np.int32), split)
    for start in range(0, train, train_chunk):
        stop = min(start + train_chunk, train)
        keys, key_labels = (
            _placed(_padded(rows[start:stop], train_chunk), whole)
            for rows in (train_features, train_labels)
        )
        valid = _placed(np.int32(stop - start), whole)
        jax.block_until_ready(labels)  # No more than one part waits for slow devices.
        similarities, labels = _search(
            queries, similarities, labels, keys, key_labels, valid, test_chunk, mesh
        )
    return [
        np.asarray(_vote(similarities, labels, min(k, train), temperature, test_chunk, mesh))[:test]
        for k, temperature in settings
    ]


def _one_device() -> Mesh:
    return Mesh(np.array(jax.local_devices()[:1]), ("rows",))


def _layouts(mesh: Mesh) -> tuple[PartitionSpec, PartitionSpec]:
    """Rows split over all devices, and a copy on each."""
    return PartitionSpec(mesh.axis_names), PartitionSpec()


def _placed(rows: Array | np.ndarray | np.generic, where: NamedSharding) -> Array:
    """Lays what every process holds whole on the devices of all."""
    return jax.make_array_from_callback(np.shape(rows), where, lambda part: np.asarray(rows)[part])


def _padded(rows: Array | np.ndarray, multiple: int) -> np.ndarray:
    """The rows, zero-padded to a multiple: one shape, one program."""
    rows = np.asarray(rows)
    return np.pad(rows, [(0, -len(rows) % multiple)] + [(0, 0)] * (rows.ndim - 1))


@partial(
    jax.jit, static_argnames=("test_chunk", "mesh"), donate_argnames=("similarities", "labels")
)
def _search(
    queries: Real[Array, "test dim"],
    similarities: Float[Array, "test k"],
    labels: Int[Array, "test k"],
    keys: Real[Array, "train dim"],
    key_labels: Int[Array, "train"],
    valid: Int[Array, ""],
    test_chunk: int,
    mesh: Mesh,
) -> tuple[Float[Array, "test k"], Int[Array, "test k"]]:
    """Merges the nearest of the first `valid` keys into the running top k."""
    split, whole = _layouts(mesh)

    def on_one_device(
        queries: Array,
        best: Array,
        best_labels: Array,
        keys: Array,
        key_labels: Array,
        valid: Array,
    ) -> tuple[Array, Array]:
        keys = l2_normalize(keys.astype(jnp.float32))
        real = jnp.arange(keys.shape[0]) < valid
        k = best.shape[1]

        def one_chunk(running: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            query, best, best_labels = running
            query = l2_normalize(query.astype(jnp.float32))
            new = jnp.where(real[None, :], inner_products(query, keys), -jnp.inf)
            new, index = jax.lax.top_k(new, min(k, keys.shape[0]))
            # Older rows stand first: top_k prefers the lower index, so ties do not depend on
            # chunks.
            best, pick = jax.lax.top_k(jnp.concatenate([best, new], axis=1), k)
            best_labels = jnp.concatenate([best_labels, key_labels[index]], axis=1)
            return best, jnp.take_along_axis(best_labels, pick, axis=1)

        chunks = _chunks((queries, best, best_labels), test_chunk)
        best, best_labels = jax.lax.map(one_chunk, chunks)
        return best.reshape(-1, k), best_labels.reshape(-1, k)

    each = jax.shard_map(
        on_one_device,
        mesh=mesh,
        in_specs=(split, split, split, whole, whole, whole),
        out_specs=(split, split),
    )
    return each(queries, similarities, labels, keys, key_labels, valid)


@partial(jax.jit, static_argnames=("k", "test_chunk", "mesh"))
def _vote(
    similarities: Float[Array, "test most"],
    labels: Int[Array, "test most"],
    k: int,
    temperature: float | Float[Array, ""],
    test_chunk: int,
    mesh: Mesh,
) -> Int[Array, "test"]:
    """Adds up the votes of the k nearest and returns the class with most, on every device.

    Every neighbour counts the votes for its own class, so nothing has the size of all classes.
    """
    split, whole = _layouts(mesh)

    def one_chunk(nearest: tuple[Array, Array, Array]) -> Array:
        similarity, label, temperature = nearest
        # Relative to the nearest: the same winner, and exp cannot overflow at a small temperature.
        weight = jnp.exp((similarity - similarity[:, :1]) / temperature)

        def add(voter: Array, votes: Array) -> Array:
            of, vote = (
                jax.lax.dynamic_slice_in_dim(rows, voter, 1, axis=1) for rows in (label, weight)
            )
            return votes + jnp.where(label == of, vote, 0.0)

        votes = jax.lax.fori_loop(0, k, add, jnp.zeros_like(weight))
        wins = votes == jnp.max(votes, axis=1, keepdims=True)
        return jnp.min(jnp.where(wins, label, jnp.iinfo(label.dtype).max), axis=1)

    def on_one_device(similarities: Array, labels: Array, temperature: Array) -> Array:
        nearest = _chunks((similarities[:, :k], labels[:, :k]), test_chunk)
        return jax.lax.map(lambda rows: one_chunk((*rows, temperature)), nearest).reshape(-1)

    each = jax.shard_map(on_one_device, mesh=mesh, in_specs=(split, split, whole), out_specs=split)
    predicted = each(similarities, labels, jnp.asarray(temperature, jnp.float32))
    return jax.lax.with_sharding_constraint(predicted, NamedSharding(mesh, whole))


def _chunks(rows: tuple[Array, ...], size: int) -> tuple[Array, ...]:
    """Rows that are worked on one after the other, `size` at a time."""
    return jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), rows)
