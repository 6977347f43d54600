"""Mean-field inference against brute force in float64."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from natural import natural_picture

from ssljax.ops import crf
from ssljax.ops.crf import Kernel

POTTS = (Kernel(2.0, None, 1.5), Kernel(6.0, 30.0, 4.0))
PENALTIES = np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 0.5], [3.0, 0.5, -1.0]])


def _unary(side, classes=3, seed=0):
    logits = 2 * np.random.default_rng(seed).normal(size=(side, side, classes))
    return -np.log(_softmax(logits)).astype(np.float32)


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _brute_force(unary, image, kernels, iterations):
    """The updates with matrices of all pairs, in float64."""
    height, width, classes = unary.shape
    energy = unary.reshape(-1, classes).astype(np.float64)
    place = np.indices((height, width)).reshape(2, -1).T.astype(np.float64)
    color = image.reshape(height * width, -1).astype(np.float64)
    matrices = []
    for kernel in kernels:
        squares = ((place[:, None] - place) ** 2).sum(axis=2) / kernel.position**2
        if kernel.color is not None:
            squares += ((color[:, None] - color) ** 2).sum(axis=2) / kernel.color**2
        matrix = np.exp(-squares / 2)
        norm = matrix.sum(axis=1)
        matrices.append(
            {
                "symmetric": matrix / np.sqrt(np.outer(norm, norm)),
                "before": matrix / norm[None, :],
                "after": matrix / norm[:, None],
                "none": matrix / norm.mean(),
            }[kernel.normalization]
        )
    q = _softmax(-energy)
    for _ in range(iterations):
        logits = -energy
        for matrix, kernel in zip(matrices, kernels, strict=True):
            penalties = np.asarray(kernel.compatibility)
            penalties = penalties if penalties.ndim else -penalties * np.eye(classes)
            logits = logits - matrix @ q @ penalties
        q = _softmax(logits)
    return q.reshape(unary.shape)


@pytest.mark.parametrize(
    ("normalization", "matrix"),
    [("symmetric", False), ("symmetric", True), ("before", True), ("after", False), ("none", True)],
)
def test_exact_inference_is_brute_force(normalization, matrix):
    kernels = [dataclasses.replace(each, normalization=normalization) for each in POTTS]
    if matrix:
        kernels[1] = dataclasses.replace(kernels[1], compatibility=PENALTIES)
    unary, image = _unary(16), natural_picture(16)
    found = crf.dense_crf(jnp.asarray(unary), image, kernels, 5, "exact")
    np.testing.assert_allclose(found, _brute_force(unary, image, kernels, 5), atol=1e-5)


@pytest.mark.parametrize("method", ["lattice", "exact"])
def test_without_iterations_or_kernels_the_unary_decides(method):
    unary, image = _unary(8), natural_picture(8)
    expected = np.exp(-unary)
    for kernels, iterations in ((POTTS, 0), ((), 3)):
        found = crf.dense_crf(jnp.asarray(unary), image, kernels, iterations, method)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_lattice_comes_near_the_exact_probabilities():
    unary, image = jnp.asarray(_unary(32)), natural_picture(32)
    exact, near = (crf.dense_crf(unary, image, POTTS, 5, way) for way in ("exact", "lattice"))
    off = np.abs(np.asarray(exact - near))
    assert 0 < off.mean() < 0.02
    assert np.mean(exact.argmax(axis=2) == near.argmax(axis=2)) > 0.96


@pytest.mark.parametrize("method", ["lattice", "exact"])
def test_images_of_a_batch_are_inferred_each_for_itself(method):
    unaries = np.stack([_unary(8, seed=1), _unary(8, seed=2)])
    images = np.stack([natural_picture(8), 255 - natural_picture(8)[::-1]])
    together = crf.dense_crf_batch(jnp.asarray(unaries), images, POTTS, 3, method)
    for index in range(2):
        alone = crf.dense_crf(jnp.asarray(unaries[index]), images[index], POTTS, 3, method)
        np.testing.assert_allclose(together[index], alone, atol=1e-6)


def test_an_edge_stops_a_label():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 3:] = 200
    labels = np.full((8, 8), -1)
    labels[5, 0], labels[2, 7] = 0, 1
    unary = crf.unary_from_labels(jnp.asarray(labels), 3, 0.9)
    kernels = [Kernel(1.0, None, 0.0), Kernel(20.0, 10.0, 10.0)]
    best = crf.dense_crf(unary, image, kernels, 3).argmax(axis=2)
    np.testing.assert_array_equal(best, image[..., 0] > 0)


def test_unary_of_labels():
    found = crf.unary_from_labels(jnp.array([[2, -1]]), 3, 0.7)
    expected = -np.log([[[0.15, 0.15, 0.7], [1 / 3, 1 / 3, 1 / 3]]])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_unary_of_probabilities():
    found = crf.unary_from_probabilities(jnp.array([[1.0, 0.0], [0.75, 0.25]]), 0.8)
    np.testing.assert_allclose(found, -np.log([[0.9, 0.1], [0.7, 0.3]]), rtol=1e-5)
    sure = crf.unary_from_probabilities(jnp.array([1.0, 0.0]), floor=1e-4)
    np.testing.assert_allclose(sure, [0, -np.log(1e-4)], atol=1e-6)


def _crf(unary=(4, 4, 2), image=(4, 4, 3), iterations=1, method="lattice", **kernel):
    kernels = [Kernel(**({"position": 1.0, "color": None, "compatibility": 1.0} | kernel))]
    return crf.dense_crf(jnp.zeros(unary), np.zeros(image), kernels, iterations, method)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"image": (4, 5, 3)}, "differ in size"),
        ({"unary": (4, 4, 1)}, "two classes"),
        ({"iterations": -1}, "iterations is -1"),
        ({"method": "grid"}, "method is 'grid'"),
        ({"position": 0.0}, "position is 0.0"),
        ({"color": -1.0}, "color is -1.0"),
        ({"normalization": "half"}, "normalization is 'half'"),
        ({"compatibility": np.eye(3)}, "symmetric, 2 x 2"),
        ({"compatibility": np.array([[0.0, 1.0], [2.0, 0.0]])}, "symmetric"),
    ],
)
def test_impossible_arguments_are_told(arguments, told):
    with pytest.raises(ValueError, match=told):
        _crf(**arguments)


@pytest.mark.parametrize("certainty", [0.0, 1.0])
def test_impossible_certainties_are_told(certainty):
    with pytest.raises(ValueError, match="certainty"):
        crf.unary_from_labels(jnp.array([0]), 2, certainty)
    with pytest.raises(ValueError, match="certainty"):
        crf.unary_from_probabilities(jnp.array([0.5, 0.5]), 0.0 if certainty else 1.1)
    with pytest.raises(ValueError, match="two classes"):
        crf.unary_from_labels(jnp.array([0]), 1, 0.5)
