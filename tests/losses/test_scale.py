"""What the scale of the data must not change, and what float16 must survive."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import losses, metrics
from ssljax.ops.normalize import l2_normalize

SCALES = [1e-6, 1e-3, 1e3, 1e6]
QUEUE = jax.random.normal(jax.random.key(3), (6, 8))
QUICK = {"xla_backend_optimization_level": 0}

OF_DIRECTIONS = {
    "nt_xent": lambda a, b: losses.nt_xent(a, b, 0.1),
    "dcl": losses.dcl,
    "dclw": losses.dclw,
    "info_nce_queue": lambda a, b: losses.info_nce_queue(a, b, QUEUE),
    "info_nce_batch": losses.info_nce_batch,
    "nnclr": lambda a, b: losses.nnclr(losses.nearest_neighbors(a, QUEUE), b),
    "byol": lambda a, b: losses.byol(a, b, a, b),
    "simsiam": lambda a, b: losses.simsiam(a, b, a, b),
    "koleo": lambda a, b: losses.koleo(a),
    "pulling_away": lambda a, b: losses.pulling_away(a),
}
"""Losses that know an embedding by its direction alone: every row has a scale of its own."""

OF_SHAPE = {
    "normalized_std": lambda a, b: losses.normalized_std(a),
    "effective_rank": lambda a, b: metrics.effective_rank(a),
    "rankme": lambda a, b: metrics.rankme(a),
    "generator_collapsed": lambda a, b: metrics.generator_collapsed(
        0.04 * b[..., None, None], b[..., None, None]
    ),
    "spherical_kmeans": lambda a, b: losses.spherical_kmeans(a, l2_normalize(a)[:2])[0],
}
"""What does not change when all embeddings grow alike."""

LENGTHS = {
    "reconstruction_energy": lambda a, b: losses.reconstruction_energy(a, b),
    "wasserstein_1d": lambda a, b: losses.wasserstein_1d(a[:, 0], b[:, 0], 6.0),
}
"""Distances: they grow as the data does."""


def _views(dtype: Any = jnp.float32) -> tuple[jax.Array, jax.Array]:
    one, two = np.random.default_rng(0).normal(size=(2, 5, 8))
    return jnp.asarray(one, dtype), jnp.asarray(one + two, dtype)


@functools.cache
def _compiled(name: str):
    function = (OF_DIRECTIONS | OF_SHAPE | LENGTHS)[name]
    return jax.jit(function, compiler_options=QUICK)


@functools.cache
def _gradient(name: str):
    def total(a, b):
        return jnp.sum((OF_DIRECTIONS | LENGTHS)[name](a, b))

    return jax.jit(jax.grad(total, argnums=(0, 1)), compiler_options=QUICK)


@pytest.mark.parametrize("name", [*OF_DIRECTIONS, *OF_SHAPE])
def test_a_common_scale_changes_nothing(name):
    a, b = _views()
    expected = _compiled(name)(a, b)
    for scale in SCALES:
        np.testing.assert_allclose(_compiled(name)(scale * a, scale * b), expected, rtol=2e-5)


@pytest.mark.parametrize("name", OF_DIRECTIONS)
def test_each_row_may_have_a_scale_of_its_own(name):
    a, b = _views()
    lengths = jnp.asarray([1e-6, 1e-3, 1.0, 1e3, 1e6])[:, None]
    expected = _compiled(name)(a, b)
    np.testing.assert_allclose(_compiled(name)(lengths * a, b), expected, rtol=2e-5)
    # The gradient is across the embedding, and as many times longer as the embedding is shorter.
    for scaled, gradient in zip(
        _gradient(name)(lengths * a, lengths * b), _gradient(name)(a, b), strict=True
    ):
        size = float(jnp.max(jnp.abs(gradient)))
        np.testing.assert_allclose(scaled * lengths, gradient, rtol=1e-3, atol=1e-4 * size)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", OF_SHAPE)
def test_a_gauge_of_what_is_not_finite_is_nan(name, bad):
    a, b = _views()
    found = _compiled(name)(a.at[2].set(bad), b.at[2].set(bad))
    assert np.all(np.isnan(np.asarray(found)))


@pytest.mark.parametrize("name", LENGTHS)
def test_a_distance_grows_with_the_data(name):
    a, b = _views()
    expected, slope = _compiled(name)(a, b), _gradient(name)(a, b)[0]
    for scale in SCALES:
        found = _compiled(name)(scale * a, scale * b)
        np.testing.assert_allclose(found, scale * expected, rtol=1e-5)
        found = _gradient(name)(scale * a, scale * b)[0]
        np.testing.assert_allclose(found, slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("name", [*OF_DIRECTIONS, *LENGTHS])
def test_the_gradient_at_zero_is_finite_in_every_float_type(name, dtype):
    views = _views(dtype)
    zero = jnp.zeros_like(views[0])
    # All rows are zero, or one is, or both views are equal.
    for a, b in ((zero, zero), (views[0].at[2].set(0), views[1]), (views[0], views[0])):
        for gradient in _gradient(name)(a, b):
            assert gradient.dtype == dtype
            assert np.all(np.isfinite(np.asarray(gradient, np.float32)))


@pytest.mark.parametrize("name", OF_DIRECTIONS)
def test_the_shortest_vectors_of_float16_have_a_finite_gradient(name):
    a, b = _views(jnp.float16)
    shortest = jnp.where(a > 0, jnp.float16(6e-8), jnp.float16(-6e-8))
    for gradient in _gradient(name)(shortest, b):
        assert np.all(np.isfinite(np.asarray(gradient, np.float32)))


@pytest.mark.parametrize("slope", [1e-8, 1e-3, 1e6])
def test_a_slope_of_any_size_is_measured(slope):
    x = jnp.zeros((2, 3))
    found = losses.interpolated_gradient_penalty(
        lambda x: slope * x[:, 0], x, x + 1, jax.random.key(0)
    )
    np.testing.assert_allclose(found, (slope - 1) ** 2, rtol=1e-5)

    def penalty(slope):
        return losses.interpolated_gradient_penalty(
            lambda x: slope * x[:, 0], x, x + 1, jax.random.key(0)
        )

    # However flat the critic is, it is told to become steeper.
    np.testing.assert_allclose(jax.grad(penalty)(slope), 2 * (slope - 1), rtol=1e-5)
    assert jax.grad(penalty)(0.0) == 0
