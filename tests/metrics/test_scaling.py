"""Standardising: every feature counts alike, whatever its own scale and that of the others."""

import tracemalloc

import numpy as np
import pytest

from ssljax import data
from ssljax.metrics.few_label import few_label_probe
from ssljax.metrics.linear import linear_probe
from ssljax.metrics.scaling import standardize


def _blobs(rows, seed):
    """Three classes that lie well apart, about a mean that is not zero."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows, dtype=np.int32) % 3
    centers = np.random.default_rng(5).normal(size=(3, 8))
    return 2 * centers[labels] + 0.5 * rng.normal(size=(rows, 8)) + 1.0, labels


def _probes(train_x, train_y, test_x, test_y):
    linear = linear_probe(
        train_x, train_y, test_x, test_y, 3, learning_rates=(0.1,), weight_decays=(0.0,)
    )
    draws = [data.labelled_rows(train_y, 3, 5, seed, "labels") for seed in range(2)]
    return linear.accuracy, few_label_probe(train_x, train_y, test_x, test_y, 3, draws).mean


def test_standardized_features_have_mean_0_and_variance_1_on_train():
    scales = 10.0 ** np.arange(-3, 5)[None]
    (train, _), (test, _) = _blobs(400, 0), _blobs(100, 1)
    train, test = ((x * scales + 5).astype(np.float32) for x in (train, test))
    train = np.concatenate([train, np.full((400, 1), 3.0, np.float32)], axis=1)
    test = np.concatenate([test, np.full((100, 1), 4.0, np.float32)], axis=1)
    scaled, other = standardize(train, test)
    np.testing.assert_allclose(scaled[:, :-1].mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(scaled[:, :-1].std(axis=0), 1.0, atol=1e-3)
    # A constant says nothing: it is silenced, on the test set as well.
    assert not scaled[:, -1].any()
    assert not other[:, -1].any()
    mean, std = train.astype(np.float64).mean(axis=0), train.astype(np.float64).std(axis=0)
    wanted = (test[:, :-1] - mean[None, :-1]) / std[None, :-1]
    np.testing.assert_allclose(other[:, :-1], wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e-7, 1e9])
def test_features_times_a_number_give_the_same_scores(scale):
    (x, y), (test_x, test_y) = _blobs(300, 0), _blobs(150, 1)
    wanted = _probes(x.astype(np.float32), y, test_x.astype(np.float32), test_y)
    assert min(wanted) > 0.95
    scaled = [(part * scale).astype(np.float32) for part in (x, test_x)]
    assert _probes(scaled[0], y, scaled[1], test_y) == pytest.approx(wanted, abs=1 / 150)


def test_one_loud_dimension_does_not_silence_the_others():
    (x, y), (test_x, test_y) = _blobs(300, 0), _blobs(150, 1)
    rng = np.random.default_rng(2)
    loud = [
        np.concatenate([part, rng.normal(0, 3e6, (len(part), 1))], axis=1).astype(np.float32)
        for part in (x, test_x)
    ]
    assert min(_probes(loud[0], y, loud[1], test_y)) > 0.9


@pytest.mark.parametrize("value", [0.0, 0.1, -3e-12, 7e20])
def test_a_constant_is_one_at_any_magnitude_also_where_it_is_rounded(value):
    train = np.full((500, 2), value, np.float32)
    train[::2, 1] = np.nextafter(train[::2, 1], np.float32(np.inf))
    if value == 0:
        train[:, 1] = 0
    scaled, other = standardize(train, np.full((3, 2), 5.0, np.float32))
    assert not scaled.any()
    assert not other.any()


def test_beside_the_result_little_memory_is_needed():
    train = np.random.default_rng(0).normal(size=(100_000, 256)).astype(np.float32)
    tracemalloc.start()
    standardize(train)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.7 * train.nbytes


def test_bytes_are_standardised_as_the_same_numbers_are():
    pixels = np.random.default_rng(0).integers(0, 256, (200, 5)).astype(np.uint8)
    np.testing.assert_allclose(
        standardize(pixels)[0], standardize(pixels / np.float32(255))[0], atol=1e-5
    )
