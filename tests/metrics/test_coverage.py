"""Classes that a generator draws, named by the nearest real images."""

import numpy as np
import pytest

from ssljax import metrics

# Four classes in four directions, far apart; the third is twice as frequent.
CENTRES = 10.0 * np.eye(4, dtype=np.float32)
REAL = np.repeat(np.arange(4), [40, 40, 80, 40])


def rows(classes, seed):
    noise = np.random.default_rng(seed).normal(0, 0.1, (len(classes), 4))
    return CENTRES[classes] + noise.astype(np.float32)


@pytest.mark.parametrize(
    ("counts", "hit"),
    [((10, 10, 20, 10), 4), ((25, 25, 0, 0), 2), ((0, 0, 0, 50), 1), ((49, 1, 0, 0), 2)],
)
def test_the_divergence_is_that_of_the_counts(counts, hit):
    fake = np.repeat(np.arange(4), counts)
    p, q = np.array(counts) / sum(counts), np.array([0.2, 0.2, 0.4, 0.2])
    wanted = sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a)
    found = metrics.class_coverage(rows(fake, 1), rows(REAL, 2), REAL, 4)
    assert found == (pytest.approx(wanted, abs=1e-12), hit)


def test_classes_without_a_real_image_are_neither_wanted_nor_hit():
    divergence, hit = metrics.class_coverage(rows(REAL, 1), rows(REAL, 2), REAL, 9)
    assert divergence == pytest.approx(0.0, abs=1e-12)
    assert hit == 4


def test_real_images_without_a_label_say_nothing():
    wanted = metrics.class_coverage(rows(REAL[::3], 1), rows(REAL, 2), REAL, 4)
    real = np.concatenate([rows(REAL, 2), rows(REAL[:30], 5)])
    labels = np.concatenate([REAL, np.full(30, -1)])
    assert metrics.class_coverage(rows(REAL[::3], 1), real, labels, 4) == wanted
