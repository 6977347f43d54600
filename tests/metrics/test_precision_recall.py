"""Precision and recall from nearest neighbours."""

import numpy as np
import pytest

from ssljax.metrics import precision_recall


def features(seed, count, dim=6, shift=0.0):
    return (np.random.default_rng(seed).normal(size=(count, dim)) + shift).astype(np.float32)


def by_hand(fake, real, k):
    def share(points, centres):
        radii = np.array([np.sort(np.linalg.norm(centres - c, axis=1))[k] for c in centres])
        inside = [np.any(np.linalg.norm(centres - p, axis=1) <= radii) for p in points]
        return np.mean(inside)

    fake, real = fake.astype(np.float64), real.astype(np.float64)
    return share(fake, real), share(real, fake)


@pytest.mark.parametrize("chunk", [(200, 200), (7, 16), (16, 5), (1, 1)])
@pytest.mark.parametrize("k", [1, 3])
def test_they_are_the_definition_whatever_the_chunks(k, chunk):
    fake, real = features(0, 23, shift=0.7), features(1, 31)
    expected = by_hand(fake, real, k)
    assert 0 < min(expected) < max(expected) < 1
    np.testing.assert_allclose(precision_recall(fake, real, k, chunk), expected, rtol=1e-12)


def test_a_far_origin_does_not_blur_distances():
    fake, real = features(0, 60, shift=0.7), features(1, 50)
    fake, real = np.round(fake * 64) / 64, np.round(real * 64) / 64
    assert precision_recall(fake + 4096, real + 4096) == precision_recall(fake, real)


@pytest.mark.parametrize("scale", [2.0**-80, 2.0**-30, 2.0**30, 2.0**80])
def test_the_scale_of_features_does_not_matter(scale):
    fake, real = features(0, 60, shift=0.7), features(1, 50)
    scaled = (x * np.float32(scale) for x in (fake, real))
    assert precision_recall(*scaled) == precision_recall(fake, real)


def test_the_same_set_is_covered_and_a_far_one_is_not():
    real = features(0, 40)
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real + 1000, real) == (0.0, 0.0)


def test_a_collapsed_generator_is_precise_and_recalls_nothing():
    real = features(0, 40)
    fake = real[:1] + 1e-3 * features(1, 20)
    assert precision_recall(fake, real) == (1.0, 1 / 40)


def test_too_few_points_and_bad_settings_are_refused():
    with pytest.raises(ValueError, match="more than 3 points"):
        precision_recall(features(0, 3), features(1, 9))
    with pytest.raises(ValueError, match="at least 1"):
        precision_recall(features(0, 9), features(1, 9), k=0)
