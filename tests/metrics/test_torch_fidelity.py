"""The same features give the figures of torch-fidelity, where that is installed."""

import numpy as np
import pytest

from ssljax import metrics
from ssljax.evals import generative

pytest.importorskip("torch_fidelity")

import torch
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(64, 64)) / 8
    fake = rng.normal(size=(600, 64)) @ mix + 0.2
    real = rng.normal(size=(700, 64)) @ mix
    return np.maximum(fake, 0).astype(np.float32), np.maximum(real, 0).astype(np.float32)


def test_fid(features):
    theirs = [metric_fid.fid_features_to_statistics(torch.from_numpy(x)) for x in features]
    expected = metric_fid.fid_statistics_to_metric(*theirs, verbose=False)
    ours = []
    for x in features:
        moments = generative.Moments(64)
        for part in np.array_split(x, 7):
            moments.update(part)
        ours += [moments.mean, moments.covariance]
    np.testing.assert_allclose(
        metrics.frechet_distance(*ours), expected[metric_fid.KEY_METRIC_FID], rtol=1e-4
    )


def test_kid_over_the_same_subsets(features):
    expected = metric_kid.kid_features_to_metric(
        *map(torch.from_numpy, features), kid_subsets=20, kid_subset_size=300, rng_seed=2020
    )
    draws = np.random.RandomState(2020)
    values = []
    for _ in range(20):
        parts = [x[draws.choice(len(x), 300, replace=False)] for x in features]
        values.append(metrics.squared_mmd(*parts))
    np.testing.assert_allclose(
        [np.mean(values), np.std(values)],
        [expected[metric_kid.KEY_METRIC_KID_MEAN], expected[metric_kid.KEY_METRIC_KID_STD]],
        rtol=1e-3,
    )


def test_inception_score(features):
    logits = features[0] * 3
    expected = metric_isc.isc_features_to_metric(torch.from_numpy(logits), 10, shuffle=False)
    np.testing.assert_allclose(
        metrics.inception_score(logits),
        [expected[metric_isc.KEY_METRIC_ISC_MEAN], expected[metric_isc.KEY_METRIC_ISC_STD]],
        rtol=1e-6,
    )


def test_precision_and_recall(features):
    # Which of its two sets is the real one differs between its versions; sizes cannot tell.
    fake, real = features
    expected = metric_prc.calculate_precision_recall_full(*map(torch.from_numpy, (fake, real)), 3)
    assert 0 < min(expected) < max(expected) < 1
    found = metrics.precision_recall(fake, real)
    np.testing.assert_allclose(sorted(found), sorted(expected), rtol=1e-6)
