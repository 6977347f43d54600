"""kNN against a plain float64 vote, and without ever holding all similarities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.mesh import make_mesh
from ssljax.metrics import knn


def _sets(train=257, test=61, dim=7, classes=5):
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(classes, dim))
    labels, truth = rng.integers(classes, size=train), rng.integers(classes, size=test)
    x = centers[labels] + 1.5 * rng.normal(size=(train, dim))
    y = centers[truth] + 1.5 * rng.normal(size=(test, dim))
    scale = rng.uniform(0.1, 10, size=(train, 1))
    return (
        (x * scale).astype(np.float32),
        labels.astype(np.int32),
        y.astype(np.float32),
        truth.astype(np.int32),
        classes,
    )


def _by_hand(train_x, train_y, test_x, classes, k, temperature):
    """The definition, one test row at a time, in float64."""
    train = train_x.astype(np.float64) / np.linalg.norm(train_x.astype(np.float64), axis=1)[:, None]
    predicted = []
    for row in test_x.astype(np.float64):
        similarity = train @ (row / np.linalg.norm(row))
        votes = np.zeros(classes)
        for i in np.argsort(-similarity)[:k]:
            votes[train_y[i]] += np.exp(similarity[i] / temperature)
        predicted.append(np.argmax(votes))
    return np.array(predicted)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (200, 0.1), (1000, 0.5)])
def test_predictions_are_those_of_the_definition(k, temperature):
    train_x, train_y, test_x, _, classes = _sets()
    wanted = _by_hand(train_x, train_y, test_x, classes, k, temperature)
    found = knn.knn_predict(train_x, train_y, test_x, classes, k, temperature)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("chunk", [(1, 1), (7, 64), (61, 257), (1000, 1000)])
def test_chunks_change_nothing(chunk):
    train_x, train_y, test_x, _, classes = _sets()
    whole = knn.knn_predict(train_x, train_y, test_x, classes, 20, 0.07)
    assert np.array_equal(
        knn.knn_predict(train_x, train_y, test_x, classes, 20, 0.07, chunk), whole
    )


def test_several_settings_share_one_search():
    sets = _sets()
    both = knn.knn_accuracies(*sets, settings=((5, 0.07), (50, 0.1)))
    assert both == {
        "knn5": knn.knn_accuracy(*sets, 5, 0.07),
        "knn50": knn.knn_accuracy(*sets, 50, 0.1),
    }
    wanted = _by_hand(*sets[:3], sets[4], 5, 0.07)
    assert both["knn5"] == pytest.approx(np.mean(wanted == sets[3]))


@pytest.mark.parametrize("sizes", [(8, 1), (2, 4)])
def test_accuracies_are_the_same_on_any_mesh(sizes):
    sets, settings = _sets(), ((5, 0.07), (50, 0.1))
    wanted = knn.knn_accuracies(*sets, settings=settings)
    found = knn.knn_accuracies(*sets, settings=settings, chunk=(3, 64), mesh=make_mesh(*sizes))
    assert found == wanted


def test_no_array_has_test_rows_times_train_rows():
    shapes = jax.eval_shape(
        lambda: (jnp.zeros((4096, 8)), jnp.zeros((4096, 200)), jnp.zeros((4096, 200), jnp.int32))
    )
    keys = jax.ShapeDtypeStruct((8192, 8), jnp.float32)
    labels = jax.ShapeDtypeStruct((8192,), jnp.int32)
    lowered = knn._search.lower(
        *shapes,
        keys,
        labels,
        jax.ShapeDtypeStruct((), jnp.int32),
        test_chunk=64,
        mesh=knn._one_device(),
    )
    memory = lowered.compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4096 * 8192 * 4 / 4


def test_the_vote_holds_no_more_than_a_few_numbers_a_neighbour():
    rows, k = 4096, 200
    similarities = jax.ShapeDtypeStruct((rows, k), jnp.float32)
    labels = jax.ShapeDtypeStruct((rows, k), jnp.int32)
    lowered = knn._vote.lower(similarities, labels, k, 0.1, 1024, knn._one_device())
    memory = lowered.compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4 * 1024 * k * 4


def test_many_classes_are_told_apart_as_by_the_definition():
    train_x, train_y, test_x, _, classes = _sets(train=300)
    spread = (train_y + classes * (np.arange(300) % 1000)) * 31 % 9973
    wanted = _by_hand(train_x, spread, test_x, 9973, 50, 0.1)
    assert np.array_equal(knn.knn_predict(train_x, spread, test_x, 9973, 50, 0.1), wanted)


def test_the_lowest_class_wins_a_tie():
    x = np.repeat(np.eye(2, 3, dtype=np.float32), 2, axis=0)
    labels = np.array([7, 2, 4, 5], np.int32)
    found = knn.knn_predict(x, labels, np.eye(2, 3, dtype=np.float32), 8, 2, 0.1)
    assert found.tolist() == [2, 4]


@pytest.mark.parametrize("scale", [1e-30, 1e-13, 1e-9, 1e9, 1e30])
def test_the_scale_of_features_does_not_matter(scale):
    train_x, train_y, test_x, _, classes = _sets()
    # Rows that are all zero are similar to nothing, at any scale.
    train_x[3], test_x[5] = 0, 0
    wanted = knn.knn_predict(train_x, train_y, test_x, classes, 20, 0.07)
    scaled = (x * np.float32(scale) for x in (train_x, test_x))
    train_x, test_x = scaled
    found = knn.knn_predict(train_x, train_y, test_x, classes, 20, 0.07)
    assert np.mean(np.asarray(found) == np.asarray(wanted)) >= 60 / 61


def test_bytes_vote_as_the_same_numbers_do():
    rng = np.random.default_rng(1)
    train, test = (rng.integers(0, 256, (n, 12)).astype(np.uint8) for n in (90, 40))
    labels = rng.integers(0, 3, 90)
    found = knn.knn_predict(train, labels, test, 3, 10)
    assert np.array_equal(found, _by_hand(train, labels, test, 3, 10, 0.1))


@pytest.mark.parametrize("label", [-2, 5])
def test_a_label_that_is_no_class_is_refused(label):
    train_x, train_y, test_x, _, classes = _sets()
    train_y[7] = label
    with pytest.raises(ValueError, match="classes from 0 to 4, or -1 for none"):
        knn.knn_predict(train_x, train_y, test_x, classes)


@pytest.mark.parametrize("bad", [{"k": 0}, {"temperature": 0.0}, {"chunk": (0, 1)}])
def test_impossible_settings_are_refused(bad):
    train_x, train_y, test_x, _, classes = _sets()
    with pytest.raises(ValueError, match=r"kNN needs|chunks need"):
        knn.knn_predict(train_x, train_y, test_x, classes, **bad)
