"""kNN against a plain float64 vote, and without ever holding all similarities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.evals import knn


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


def test_no_array_has_test_rows_times_train_rows():
    shapes = jax.eval_shape(
        lambda: (jnp.zeros((4096, 8)), jnp.zeros((4096, 200)), jnp.zeros((4096, 200), jnp.int32))
    )
    keys = jax.ShapeDtypeStruct((8192, 8), jnp.float32)
    labels = jax.ShapeDtypeStruct((8192,), jnp.int32)
    lowered = knn._search.lower(
        *shapes, keys, labels, jax.ShapeDtypeStruct((), jnp.int32), test_chunk=64
    )
    memory = lowered.compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4096 * 8192 * 4 / 4


@pytest.mark.parametrize("bad", [{"k": 0}, {"temperature": 0.0}, {"chunk": (0, 1)}])
def test_impossible_settings_are_refused(bad):
    train_x, train_y, test_x, _, classes = _sets()
    with pytest.raises(ValueError, match=r"kNN needs|chunks need"):
        knn.knn_predict(train_x, train_y, test_x, classes, **bad)
