"""From a stream of images to features of the whole set."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import data, evals, mesh


def _scan(images, labels=None, batch_size=16, **options):
    return data.Scan(
        data.ArraySource(images, labels), batch_size=batch_size, image_size=4, channels=3, **options
    )


def _images(rows):
    return np.random.default_rng(0).integers(0, 256, (rows, 4, 4, 3)).astype(np.uint8)


@jax.jit
def _double(images):
    return {
        "double": 2.0 * evals.pool(images.astype(jnp.float32)),
        "pixels": evals.raw_pixels(images)["features"],
    }


@pytest.mark.parametrize("rows", [1, 16, 37])
@pytest.mark.parametrize("batch_size", [8, 16])
def test_features_of_a_set_are_those_of_its_images_one_by_one(rows, batch_size):
    images = _images(rows)
    labels = np.arange(rows, dtype=np.int32) % 5
    for sizes in ((8, 1), (2, 4)):
        scan = _scan(images, labels, batch_size)
        found = evals.extract(_double, scan, mesh=mesh.make_mesh(*sizes), count=len(scan))
        wanted = 2.0 * images.mean(axis=(1, 2))
        np.testing.assert_allclose(found.outputs["double"], wanted, rtol=1e-6)
        assert np.array_equal(found.outputs["pixels"], images.reshape(rows, -1))
        assert found.outputs["pixels"].dtype == np.uint8
        assert np.array_equal(found.labels, labels)
        assert np.array_equal(found.places, np.arange(rows))
        assert found.left_out == 0


def test_raw_pixels_are_bytes():
    with pytest.raises(ValueError, match=r"uint8.*float32"):
        evals.raw_pixels(jnp.asarray(_images(2), jnp.float32))


def test_raw_pixels_of_large_images_are_means_of_their_places():
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3)).astype(np.uint8)
    found = np.asarray(evals.raw_pixels(jnp.asarray(images))["features"]).reshape(2, 32, 32, 3)
    assert found.dtype == np.uint8
    # Triangles about each place: all weights are positive, and those of a row add up to one.
    centres = (np.arange(32) + 0.5) * 2 - 0.5, (np.arange(32) + 0.5) * 3 - 0.5
    wanted = images.astype(np.float64)
    for axis, (centre, reach) in enumerate(zip(centres, (2, 3), strict=True), 1):
        away = np.abs(np.arange(images.shape[axis])[None] - centre[:, None])
        weights = np.maximum(0, 1 - away / reach)
        weights /= weights.sum(axis=1, keepdims=True)
        wanted = np.moveaxis(np.tensordot(weights, wanted, (1, axis)), 0, axis)
    assert np.max(np.abs(found - wanted)) < 0.51


def test_images_without_a_label_are_left_out_and_counted():
    labels = np.where(np.arange(37) % 3 == 1, -1, 2).astype(np.int32)
    scan = _scan(_images(37), labels)
    found = evals.extract(_double, scan, mesh=mesh.make_mesh(), count=37, labelled=True)
    assert np.array_equal(found.places, np.flatnonzero(labels >= 0))
    assert found.left_out == 12
    whole = evals.extract(_double, scan, mesh=mesh.make_mesh(), count=37)
    assert np.array_equal(found.outputs["double"], whole.outputs["double"][labels >= 0])
    none = _scan(_images(20), np.full(20, -1))
    with pytest.raises(ValueError, match="20 have no label"):
        evals.extract(_double, none, mesh=mesh.make_mesh(), count=20, labelled=True)


def test_images_pass_and_do_not_stay():
    seen = []

    def watched(batches):
        for batch in batches:
            seen.append(weakref.ref(batch["image"]))
            yield batch
            del batch
            gc.collect()
            alive.append(sum(image() is not None for image in seen))

    alive: list[int] = []
    found = evals.extract(_double, watched(_scan(_images(160))), mesh=mesh.make_mesh(), count=160)
    assert found.outputs["double"].shape == (160, 3)
    assert len(seen) == 10
    # One comes back from the devices, one is on them, one is being handed over.
    assert max(alive) <= 3


def test_pooling_leaves_vectors_as_they_are():
    vectors = jnp.arange(6.0).reshape(2, 3)
    assert np.array_equal(evals.pool(vectors), vectors)
