"""Spectral norm against NumPy's singular values, and when its vector may turn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models.layers.spectral_norm import (
    Conv,
    ConvTranspose,
    Dense,
    Embed,
    power_iteration,
    spectral_sigma,
)

IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 6, 3)), jnp.float32)
LABELS = jnp.asarray([0, 4, 2], jnp.int32)
LAYERS = {
    "conv": (Conv(5, 3, spectral_norm=True), IMAGES),
    "strided": (Conv(5, 4, 2, spectral_norm=True), IMAGES),
    "transposed": (ConvTranspose(5, 4, 2, spectral_norm=True), IMAGES),
    "dense": (Dense(5, spectral_norm=True), IMAGES[:, 0, 0]),
    "embed": (Embed(7, 5, spectral_norm=True), LABELS),
}


def kernel_and_u(shape=(3, 3, 4, 6), seed=0):
    rng = np.random.default_rng(seed)
    kernel, u = rng.normal(size=shape), rng.normal(size=shape[-1])
    u /= np.linalg.norm(u)
    return jnp.asarray(kernel, jnp.float32), jnp.asarray(u, jnp.float32)


def made(name, **changes):
    layer, x = LAYERS[name]
    layer = layer.clone(**changes)
    return layer, layer.init(jax.random.key(1), x, train=True), x


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (20, 7), (2, 30)])
def test_iterations_lead_to_the_largest_singular_value(shape):
    kernel, u = kernel_and_u(shape)
    for _ in range(300):
        u = power_iteration(kernel, u)
    matrix = np.float64(kernel).reshape(-1, shape[-1])
    _, values, right = np.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(spectral_sigma(kernel, u), values[0], rtol=1e-5)
    np.testing.assert_allclose(np.abs(right[0] @ np.float64(u)), 1, rtol=1e-5)


def test_one_iteration_is_that_of_the_paper():
    kernel, u = kernel_and_u()
    matrix = np.float64(kernel).reshape(-1, 6)
    v = matrix @ np.float64(u)
    expected = (v / np.linalg.norm(v)) @ matrix
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(power_iteration(kernel, u), expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_sigma_is_the_outer_product_of_its_vectors():
    kernel, u = kernel_and_u()
    actual = jax.grad(spectral_sigma)(kernel, u)
    matrix = np.float64(kernel).reshape(-1, 6)
    v = matrix @ np.float64(u)
    expected = np.outer(v / np.linalg.norm(v), np.float64(u))
    np.testing.assert_allclose(actual.reshape(-1, 6), expected, rtol=1e-4, atol=1e-6)
    assert not np.any(jax.grad(spectral_sigma, argnums=1)(kernel, u))
    assert not np.any(jax.grad(lambda w: jnp.sum(power_iteration(w, u)))(kernel))


def test_sigma_is_never_above_the_true_value():
    for seed in range(5):
        kernel, u = kernel_and_u(seed=seed)
        top = np.linalg.norm(np.float64(kernel).reshape(-1, 6), ord=2)
        assert 0 < spectral_sigma(kernel, u) < top


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_applies_its_kernel_divided_by_sigma(name):
    layer, variables, x = made(name)
    plain = layer.clone(spectral_norm=False)
    kernel, u = variables["params"]["kernel"], variables["spectral"]["u"]
    assert u.shape == kernel.shape[-1:]
    np.testing.assert_allclose(jnp.linalg.norm(u), 1, rtol=1e-6)
    y, updated = layer.apply(variables, x, train=True, mutable="spectral")
    turned = power_iteration(kernel, u)
    np.testing.assert_array_equal(updated["spectral"]["u"], turned)
    matrix = np.float64(kernel).reshape(-1, kernel.shape[-1])
    sigma = np.linalg.norm(matrix @ np.float64(turned))
    params = variables["params"] | {"kernel": kernel / np.float32(sigma)}
    np.testing.assert_allclose(y, plain.apply({"params": params}, x, True), rtol=1e-4, atol=1e-5)


def test_a_layers_gradient_passes_through_sigma_alone():
    layer, variables, x = made("dense", use_bias=False)
    weights = np.random.default_rng(2).normal(size=(2, 5))

    def loss(params):
        y = layer.apply(variables | {"params": params}, x, train=True)
        return jnp.sum(jnp.asarray(weights, jnp.float32) * y)

    actual = jax.grad(loss)(variables["params"])["kernel"]
    w, u = np.float64(variables["params"]["kernel"]), np.float64(variables["spectral"]["u"])
    sigma = np.linalg.norm(w @ u)
    plain = np.float64(x).T @ weights
    outer = np.outer(w @ u / sigma, u)
    expected = (plain - np.sum(plain * w / sigma) * outer) / sigma
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", LAYERS)
def test_evaluation_and_frozen_passes_use_the_vector_as_it_stands(name):
    layer, variables, x = made(name)
    evaluated, kept = layer.apply(variables, x, train=False, mutable="spectral")
    np.testing.assert_array_equal(kept["spectral"]["u"], variables["spectral"]["u"])
    frozen = layer.apply(variables, x, train=True)
    np.testing.assert_array_equal(frozen, evaluated)
    moved, updated = layer.apply(variables, x, train=True, mutable="spectral")
    assert np.abs(moved - evaluated).max() > 1e-4
    second = layer.apply(variables | updated, x, train=True)
    np.testing.assert_allclose(second, moved, rtol=1e-5, atol=1e-6)


def test_training_makes_the_kernel_of_norm_one():
    layer, variables, x = made("conv", features=8)
    for _ in range(300):
        _, updated = layer.apply(variables, x, train=True, mutable="spectral")
        variables = variables | updated
    kernel = variables["params"]["kernel"]
    normed = kernel / spectral_sigma(kernel, variables["spectral"]["u"])
    top = np.linalg.norm(np.float64(normed).reshape(-1, 8), ord=2)
    np.testing.assert_allclose(top, 1, rtol=1e-5)


def test_initialisation_turns_nothing_and_leaves_no_state_without_spectral_norm():
    layer, trained, x = made("conv")
    evaluated = layer.init(jax.random.key(1), x, train=False)
    jax.tree.map(np.testing.assert_array_equal, trained, evaluated)
    assert set(layer.clone(spectral_norm=False).init(jax.random.key(1), x, False)) == {"params"}


def test_a_kernel_of_zeros_stays_finite():
    layer, variables, x = made("dense")
    zeros = jax.tree.map(jnp.zeros_like, variables["params"])

    def loss(params):
        return jnp.sum(layer.apply(variables | {"params": params}, x, train=False))

    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(jax.grad(loss)(zeros)))


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e15])
def test_the_normed_kernel_does_not_depend_on_the_kernels_scale(scale):
    layer, variables, x = made("dense")
    small = variables | {"params": jax.tree.map(lambda p: scale * p, variables["params"])}
    small["params"]["bias"] = variables["params"]["bias"]
    (expected, turned), (found, turned_too) = (
        layer.apply(given, x, train=True, mutable="spectral") for given in (variables, small)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    u, u_too = turned["spectral"]["u"], turned_too["spectral"]["u"]
    np.testing.assert_allclose(u_too, u, rtol=1e-4, atol=1e-6)


def test_a_kernel_of_zeros_leaves_the_vector_for_the_next_kernel():
    kernel, u = kernel_and_u()
    np.testing.assert_array_equal(power_iteration(jnp.zeros_like(kernel), u), u)


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 1), (3, 2), (4, 2), (5, 2)])
def test_sides_shrink_and_grow_by_the_stride_exactly(size, stride):
    down, up = Conv(2, size, stride), ConvTranspose(2, size, stride)
    y, _ = down.init_with_output(jax.random.key(0), IMAGES, train=True)
    assert y.shape == (2, 6 // stride, 6 // stride, 2)
    y, _ = up.init_with_output(jax.random.key(0), IMAGES, train=True)
    assert y.shape == (2, 6 * stride, 6 * stride, 2)


def test_a_label_that_is_no_class_gives_nan():
    layer, variables, _ = made("embed")
    y = layer.apply(variables, jnp.asarray([0, 6, 7, -1, -7], jnp.int32), train=False)
    assert np.all(np.isfinite(y[:2]))
    assert np.all(np.isnan(y[2:]))


def test_bfloat16_arithmetic_has_a_float32_norm():
    layer, variables, x = made("conv", dtype=jnp.bfloat16)
    y, updated = layer.apply(variables, x, train=True, mutable="spectral")
    exact = layer.clone(dtype=jnp.float32).apply(variables, x, True, mutable="spectral")
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    np.testing.assert_array_equal(updated["spectral"]["u"], exact[1]["spectral"]["u"])
    np.testing.assert_allclose(np.float64(y), np.float64(exact[0]), rtol=2**-6, atol=2**-6)


def test_padding_may_mirror_the_image_and_have_another_width():
    """A kernel that picks its first pixel shows what stands there."""
    image = jnp.arange(16.0).reshape(1, 4, 4, 1)
    pick = {"params": {"kernel": jnp.zeros((3, 3, 1, 1)).at[0, 0].set(1.0)}}
    plain = dict(features=1, size=3, use_bias=False)
    zeros = Conv(**plain).apply(pick, image, False)[0, :, :, 0]
    mirrored = Conv(**plain, reflect=True).apply(pick, image, False)[0, :, :, 0]
    bare = Conv(**plain, padding=0).apply(pick, image, False)[0, :, :, 0]
    np.testing.assert_array_equal(zeros[0], [0, 0, 0, 0])
    np.testing.assert_array_equal(mirrored[0], [5, 4, 5, 6])  # Of the second row and column.
    np.testing.assert_array_equal(mirrored[1:, 1:], zeros[1:, 1:])
    np.testing.assert_array_equal(bare, [[0, 1], [4, 5]])


def test_a_mirrored_transpose_puts_the_kernels_centre_where_the_convolution_has_it():
    one = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1].set(1.0)
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    for mirrored, first in ((True, 1), (False, 2)):
        layer = ConvTranspose(1, 3, 2, use_bias=False, mirrored=mirrored)
        found = np.asarray(layer.apply({"params": {"kernel": kernel}}, one, False))[0, :, :, 0]
        assert found.shape == (6, 6)
        rows, columns = np.nonzero(found)
        assert (rows.min(), columns.min(), rows.max(), columns.max()) == (
            *2 * [first],
            *2 * [first + 2],
        )
