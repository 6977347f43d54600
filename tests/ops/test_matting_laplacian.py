"""The matting Laplacian, as a product and as a matrix, against its definition in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from natural import natural_picture

from ssljax.ops import matting_laplacian
from ssljax.ops.matting_laplacian import laplacian_product, sparse_laplacian, whitened_windows


def _image(side):
    return natural_picture(side)[:, : side + 1] / 255.0


def _definition(image, epsilon=1e-7, known=None):
    """Levin et al., equation 12, window by window, as a dense matrix."""
    height, width, channels = image.shape
    number = np.arange(height * width).reshape(height, width)
    result = np.zeros((number.size, number.size))
    for y in range(height - 2):
        for x in range(width - 2):
            if known is not None and known[y : y + 3, x : x + 3].all():
                continue
            colors = image[y : y + 3, x : x + 3].reshape(9, channels)
            centred = colors - colors.mean(axis=0)
            covariance = np.cov(colors.T, bias=True).reshape(channels, channels)
            inverse = np.linalg.inv(covariance + epsilon / 9 * np.eye(channels))
            window = number[y : y + 3, x : x + 3].ravel()
            result[np.ix_(window, window)] += np.eye(9) - (1 + centred @ inverse @ centred.T) / 9
    return result


@pytest.mark.parametrize("chunk", [7, 1 << 15])
def test_the_matrix_is_the_one_of_the_definition(monkeypatch, chunk):
    monkeypatch.setattr(matting_laplacian, "_CHUNK", chunk)
    image = _image(8)
    matrix = sparse_laplacian(image)
    np.testing.assert_allclose(matrix.toarray(), _definition(image), atol=1e-8)
    assert abs(matrix.sum(axis=1)).max() < 1e-10
    assert abs(matrix - matrix.T).max() < 1e-10


def test_grey_images_and_flat_ones_have_a_laplacian():
    for image in (_image(8)[..., :1], np.full((8, 8, 3), 0.3)):
        found = sparse_laplacian(image, 1e-5).toarray()
        np.testing.assert_allclose(found, _definition(image, 1e-5), atol=1e-8)


def test_windows_of_known_pixels_are_left_out():
    image = _image(10)
    known = np.zeros(image.shape[:2], bool)
    known[:6], known[:, :5] = True, True
    matrix = sparse_laplacian(image, known=known)
    np.testing.assert_allclose(matrix.toarray(), _definition(image, known=known), atol=1e-8)
    # For the unknown pixels nothing is lost.
    unknown = np.flatnonzero(~known)
    whole = sparse_laplacian(image)
    assert abs(matrix[unknown] - whole[unknown]).max() < 1e-12
    assert matrix.nnz < whole.nnz


def test_the_product_is_the_matrix_times_the_layer():
    image = _image(8)
    layers = np.random.default_rng(0).normal(size=(*image.shape[:2], 2))
    expected = (_definition(image) @ layers.reshape(-1, 2)).reshape(layers.shape)
    product = jax.jit(laplacian_product)
    windows = jnp.asarray(whitened_windows(image))
    found = product(windows, jnp.asarray(layers, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=5e-6)
    one = product(windows, jnp.asarray(layers[..., 0], jnp.float32))
    np.testing.assert_allclose(one, expected[..., 0], atol=5e-6)


def test_affine_functions_of_the_colours_cost_nothing():
    image = _image(8)
    windows = jnp.asarray(whitened_windows(image))
    recolored = jnp.asarray(
        image @ np.array([[0.2, 0.7], [-0.5, 0.1], [0.9, 0.3]]) + 0.4, jnp.float32
    )
    noise = jnp.asarray(np.random.default_rng(0).normal(size=recolored.shape), jnp.float32)

    product = jax.jit(laplacian_product)

    def penalty(layer):
        return np.sum(np.asarray(layer) * np.asarray(product(windows, layer)))

    assert abs(penalty(recolored)) < 1e-3
    assert penalty(noise) > 100


@pytest.mark.parametrize(
    ("shape", "epsilon", "told"), [((2, 9, 3), 1e-7, "9 x 2 pixels"), ((9, 9, 3), 0.0, "epsilon")]
)
def test_impossible_images_are_told(shape, epsilon, told):
    for make in (whitened_windows, sparse_laplacian):
        with pytest.raises(ValueError, match=told):
            make(np.zeros(shape), epsilon)
