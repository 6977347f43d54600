"""From a network to features and scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import evals, mesh


@pytest.mark.parametrize("rows", [1, 16, 37])
@pytest.mark.parametrize("batch_size", [3, 16])
def test_features_of_a_set_are_those_of_its_images_one_by_one(rows, batch_size):
    images = np.random.default_rng(0).integers(0, 256, (rows, 4, 5, 3)).astype(np.uint8)
    double = jax.jit(lambda x: 2.0 * evals.pool(x.astype(jnp.float32)))
    for sizes in ((8, 1), (2, 4)):
        found = evals.extract(double, images, mesh=mesh.make_mesh(*sizes), batch_size=batch_size)
        np.testing.assert_allclose(found, 2.0 * images.mean(axis=(1, 2)), rtol=1e-6)


def test_pooling_leaves_vectors_as_they_are():
    vectors = jnp.arange(6.0).reshape(2, 3)
    assert np.array_equal(evals.pool(vectors), vectors)


def test_features_that_are_not_finite_have_no_score():
    x = np.full((4, 2), np.nan, np.float32)
    y = np.array([0, 1, 0, 1], np.int32)
    with pytest.raises(ValueError, match="not finite"):
        evals.score_features(x, y, x, y, 2, which=("knn",))


def test_raw_pixels_are_the_pixels():
    images = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    np.testing.assert_allclose(evals.raw_pixels(images), np.arange(24).reshape(2, 12) / 255)
    with pytest.raises(ValueError, match=r"uint8.*float32"):
        evals.raw_pixels(images.astype(np.float32))


def test_scores_are_named_by_probe():
    rng = np.random.default_rng(0)
    y = np.arange(120, dtype=np.int32) % 3
    x = (np.eye(3)[y] + 0.05 * rng.normal(size=(120, 3))).astype(np.float32)
    scores = evals.score_features(
        x, y, x, y, 3, knn=((5, 0.07),), few_label=(2, 0.1), few_label_seeds=2
    )
    assert set(scores) == {
        "knn5", "linear", "labels_2", "labels_2_std", "labels_10pct", "labels_10pct_std",
    }  # fmt: skip
    assert scores["knn5"] == scores["linear"] == scores["labels_2"] == 1.0
    assert evals.score_features(x, y, x, y, 3, which=("knn",), knn=((5, 0.07),)) == {"knn5": 1.0}


def test_accuracy_is_the_share_of_rows_whose_class_scores_highest():
    logits = np.array([[0.0, 2.0, 1.0], [3.0, -1.0, 0.0], [0.0, 0.5, 0.4], [9.0, 1.0, 1.0]])
    assert evals.accuracy(logits.astype(np.float32), np.array([1, 0, 2, 1])) == 0.5
    with pytest.raises(ValueError, match="not finite"):
        evals.accuracy(np.full((2, 3), np.nan, np.float32), np.zeros(2, np.int32))
