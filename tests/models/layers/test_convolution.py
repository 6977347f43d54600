"""Convolutions that are written otherwise than XLA's own give the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ssljax.models.layers.convolution import conv_general_dilated, conv_transpose

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def tensors(side, size):
    rng = np.random.default_rng(0)
    shapes = ((3, *side, 4), (size, size, 4, 5))
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def both(strides, padding, **options):
    """Functions of value and gradients, with our convolution and with XLA's."""

    def of(conv):
        def loss(x, kernel):
            y = conv(x, kernel, strides, padding, dimension_numbers=DIMENSIONS, **options)
            return jnp.sum(jnp.sin(y)), y

        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)

    return of(conv_general_dilated), of(lax.conv_general_dilated)


@pytest.mark.parametrize(
    ("side", "size", "stride", "pads", "tiny"),
    [
        ((2, 2), 3, 1, (1, 1), True),
        ((1, 2), 3, 1, (1, 1), True),
        ((4, 4), 3, 2, (1, 1), True),  # Two places come out: the way back is over tiny maps.
        ((4, 4), 5, 1, (2, 2), True),
        ((5, 3), 4, 2, (0, 2), True),
        ((6, 6), 3, 2, (1, 1), False),
        ((3, 3), 3, 1, (1, 1), False),
    ],
)
def test_value_and_gradients_are_those_of_xla(side, size, stride, pads, tiny):
    x, kernel = tensors(side, size)
    ours, xlas = both((stride, stride), (pads, pads), precision=lax.Precision.HIGHEST)
    for a, b in zip(
        jax.tree.leaves(ours(x, kernel)), jax.tree.leaves(xlas(x, kernel)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    assert ("conv_general_dilated" in str(jax.make_jaxpr(ours)(x, kernel))) != tiny


@pytest.mark.parametrize(
    ("side", "size", "channels", "features", "stride", "pads", "squares"),
    [
        ((8, 10), 7, 3, 16, 1, (3, 3), True),
        ((8, 10), 7, 16, 1, 1, (3, 3), True),
        ((13, 15), 7, 17, 4, 1, (0, 1), True),
        ((15, 15), 9, 3, 16, 1, (0, 3), True),
        ((9, 10), 7, 3, 16, 1, (3, 3), False),  # An odd number of rows comes out.
        ((8, 10), 7, 3, 16, 2, (3, 3), False),
        ((8, 10), 7, 5, 16, 1, (3, 3), False),
        ((8, 10), 7, 3, 15, 1, (3, 3), False),
        ((8, 10), 5, 3, 16, 1, (2, 2), False),
    ],
)
def test_large_kernels_over_colours_take_squares_of_places_at_once(
    side, size, channels, features, stride, pads, squares
):
    rng = np.random.default_rng(0)
    shapes = ((2, *side, channels), (size, size, channels, features))
    x, kernel = (jnp.asarray(0.3 * rng.normal(size=shape), jnp.float32) for shape in shapes)
    ours, xlas = both((stride, stride), (pads, pads), precision=lax.Precision.HIGHEST)
    for a, b in zip(
        jax.tree.leaves(ours(x, kernel)), jax.tree.leaves(xlas(x, kernel)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    told = str(jax.make_jaxpr(ours)(x, kernel))
    assert ("transpose[permutation=(0, 2, 4, 1, 3, 5)]" in told) == squares


@pytest.mark.parametrize(
    "options",
    [
        {"rhs_dilation": (2, 2)},
        {"lhs_dilation": (2, 2)},
        {"feature_group_count": 2},
    ],
)
def test_dilation_and_groups_are_left_to_xla(options):
    x, kernel = tensors((2, 2), 3)
    if "feature_group_count" in options:
        kernel = jnp.concatenate([kernel[:, :, :2], kernel[:, :, 2:]], axis=-1)
    ours, xlas = both((1, 1), ((2, 2), (2, 2)), **options)
    np.testing.assert_array_equal(ours(x, kernel)[0][1], xlas(x, kernel)[0][1])


def test_bfloat16_stays_bfloat16():
    x, kernel = (array.astype(jnp.bfloat16) for array in tensors((2, 2), 3))
    y = conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)))
    assert y.dtype == jnp.bfloat16
    assert y.shape == (3, 2, 2, 5)


@pytest.mark.parametrize(("size", "stride"), [(5, 2), (4, 2), (3, 2), (4, 3), (3, 1), (2, 3)])
def test_a_transposed_convolution_and_its_derivatives_are_those_of_xla(size, stride):
    x, kernel = tensors((6, 7), size)

    def xlas(x, kernel):
        return lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=DIMENSIONS)

    def ours(x, kernel):
        return conv_transpose(x, kernel, stride)

    def first(conv):
        return jax.grad(lambda *both: jnp.sum(jnp.sin(conv(*both))), argnums=(0, 1))

    def second(conv):  # As of a gradient penalty.
        return jax.grad(
            lambda *both: sum(jnp.sum(part**2) for part in first(conv)(*both)), argnums=(0, 1)
        )

    assert ours(x, kernel).shape == (3, 6 * stride, 7 * stride, 5)
    for made in (lambda conv: conv, first, second):
        found, wanted = (jax.tree.leaves(made(conv)(x, kernel)) for conv in (ours, xlas))
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(jnp.abs(b).max()))


def test_its_gradient_by_the_kernel_slides_over_nothing_that_is_enlarged():
    x, kernel = tensors((6, 7), 5)
    text = str(jax.make_jaxpr(jax.grad(lambda k: jnp.sum(conv_transpose(x, k, 2))))(kernel))
    forward, *backward = text.split("conv_general_dilated[")[1:]
    assert "lhs_dilation=(2, 2)" in forward
    assert backward
    assert all("lhs_dilation=(1, 1)" in each for each in backward)


@pytest.mark.parametrize(("size", "stride", "margin"), [(3, 2, 1), (4, 2, 1), (5, 2, 2), (3, 1, 1)])
def test_with_a_margin_it_is_the_transpose_of_the_padded_convolution(size, stride, margin):
    """<conv(x), y> is <x, transpose(y)>, and so are the derivatives of both."""
    y, kernel = tensors((3, 4), size)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3 * stride, 4 * stride, 5)))
    x = x.astype(jnp.float32)
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    after = size - stride - margin

    def by_convolution(x, y, turned):
        there = lax.conv_general_dilated(
            x, turned, (stride, stride), [(margin, after)] * 2, dimension_numbers=DIMENSIONS
        )
        return jnp.sum(there * y)

    def by_transpose(x, y, turned):
        kernel = jnp.flip(turned.swapaxes(2, 3), (0, 1))
        return jnp.sum(x * conv_transpose(y, kernel, stride, margin))

    found, wanted = (
        jax.value_and_grad(way, argnums=(0, 1, 2))(x, y, turned)
        for way in (by_transpose, by_convolution)
    )
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
