"""Maps of embeddings: where rows lie on a plane, and which images a picture of it shows."""

import numpy as np
import pytest

from ssljax import report
from ssljax.report.embedding_map import COLORS

CELL = 34


def test_by_pca_rows_lie_along_the_directions_in_which_they_vary_most():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    spread = rng.normal(size=(40, 6)) * np.array([9.0, 4.0, 0.1, 0.1, 0.1, 0.1])
    rows = spread @ basis.T + 5.0
    found = report.plane(rows, "pca")
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    wanted = (rows - rows.mean(axis=0)) @ vectors[:, [-1, -2]]
    signs = np.sign((found * wanted).sum(axis=0))
    np.testing.assert_allclose(found, wanted * signs, atol=1e-9)
    np.testing.assert_allclose(np.var(found, axis=0, ddof=1), values[[-1, -2]])
    np.testing.assert_allclose(report.plane(1e30 * rows, "pca"), 1e30 * found, rtol=1e-6)


@pytest.mark.parametrize("rows", [np.zeros((7, 3)), np.full((7, 3), 1e30), np.ones((1, 4))])
def test_rows_that_do_not_differ_lie_in_one_place(rows):
    for projection in ("pca", "tsne"):
        np.testing.assert_array_equal(report.plane(rows, projection), np.zeros((len(rows), 2)))


def test_by_tsne_neighbours_are_of_one_cluster():
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    rows = rng.normal(size=(24, 8)) + 40 * np.eye(8)[labels]
    found = report.plane(rows, "tsne", seed=1)
    distances = np.linalg.norm(found[:, None] - found[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(labels[distances.argmin(axis=1)], labels)
    np.testing.assert_array_equal(report.plane(rows, "tsne", seed=1), found)


@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (4, 1), (9, 1), (9, 700)])
def test_there_is_a_place_for_few_rows_and_of_any_length(shape):
    rows = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = report.plane(rows)
    assert found.shape == (shape[0], 2)
    assert np.isfinite(found).all()


def test_a_projection_that_is_not_there_is_told():
    with pytest.raises(ValueError, match="'umap'"):
        report.plane(np.eye(3), "umap")


def test_images_lie_where_the_map_has_them_in_frames_of_their_class():
    points = np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0]])
    images = np.array([10, 20, 30], np.uint8)[:, None, None, None] * np.ones((3, 4, 4, 1), np.uint8)
    picture = report.map_picture(points, images, np.array([0, 7, -1]))
    side = picture.shape[0]
    assert picture.shape == (side, side, 3)
    last = (side // CELL - 1) * CELL
    # Upwards on the map is upwards in the picture.
    for top, left, value, color in ((last, 0, 10, COLORS[0]), (0, last, 20, COLORS[1])):
        np.testing.assert_array_equal(picture[top + CELL // 2, left + CELL // 2], [value] * 3)
        np.testing.assert_array_equal(picture[top, left], list(bytes.fromhex(color[1:])))
    assert (picture[last + CELL // 2, last + CELL // 2] == 30).all()
    assert (picture[last, last] == 255).all()
    assert (picture[side // 2, side // 2] == 255).all()


def test_of_images_in_one_place_the_nearest_to_its_middle_is_seen():
    steps = 960 // CELL - 1
    # Two corners fix the scale; of the others one is in the middle of its place.
    points = np.array([[0.0, 0.0], [steps, steps], [10.3, 10.0], [10.1, 10.0], [10.2, 10.0]])
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 4, 4, 3), np.uint8)
    picture = report.map_picture(points, images)
    top, left = (steps - 10) * CELL, 10 * CELL
    assert (picture[top + CELL // 2, left + CELL // 2] == 3).all()
