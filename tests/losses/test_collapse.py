"""Gauges of collapse, against closed forms."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax.losses import collapse
from ssljax.losses.collapse import collapse_metrics, effective_rank


def spectrum(singular_values, batch, dim, seed=0):
    """Embeddings with the given singular values and random singular vectors."""
    rng = np.random.default_rng(seed)
    count = len(singular_values)
    left, _ = np.linalg.qr(rng.normal(size=(batch, count)))
    right, _ = np.linalg.qr(rng.normal(size=(dim, count)))
    return jnp.asarray((left * np.asarray(singular_values)) @ right.T, jnp.float32)


@pytest.mark.parametrize("shape", [(64, 16), (16, 64)])
@pytest.mark.parametrize("used", [1, 2, 7, 16])
def test_equal_use_of_n_directions_has_rank_n(shape, used):
    assert effective_rank(spectrum([3.0] * used, *shape)) == pytest.approx(used, rel=1e-4)


def test_unequal_use_is_the_exponential_of_the_entropy():
    # Shares 1/2, 1/4, 1/4: entropy 1.5 ln 2.
    rank = effective_rank(spectrum([4.0, 2.0, 2.0], 32, 8))
    assert rank == pytest.approx(2**1.5, rel=1e-5)


@pytest.mark.parametrize("shape", [(40, 24), (24, 40)])
def test_agrees_with_singular_values_in_float64(shape):
    z = np.random.default_rng(3).normal(size=shape) * np.linspace(0.05, 1.0, shape[1])
    singular = np.linalg.svd(z, compute_uv=False)
    share = singular / singular.sum()
    expected = np.exp(-np.sum(share * np.log(share)))
    assert effective_rank(jnp.asarray(z, jnp.float32)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_scale_and_rotation_do_not_matter(factor):
    z = spectrum([4.0, 2.0, 1.0], 20, 6)
    rotation, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(6, 6)))
    turned = factor * (z @ jnp.asarray(rotation, jnp.float32))
    assert effective_rank(turned) == pytest.approx(float(effective_rank(z)), rel=1e-4)


@pytest.mark.parametrize("dim", [16, 256])
def test_rounding_does_not_hide_a_full_collapse(dim):
    line = np.random.default_rng(1).normal(size=dim) * np.ones((4 * dim, 1))
    assert effective_rank(jnp.asarray(line, jnp.float32)) == pytest.approx(1.0, abs=1e-3)


def test_all_zero_embeddings_are_collapsed():
    assert float(effective_rank(jnp.zeros((4, 3)))) == 1.0


def test_bfloat16_embeddings_are_measured_in_float32():
    z = spectrum([4.0, 2.0, 2.0], 32, 8).astype(jnp.bfloat16)
    assert effective_rank(z).dtype == jnp.float32
    assert effective_rank(z) == pytest.approx(2**1.5, rel=0.05)


def test_dimensional_collapse_shows_in_the_rank_and_not_in_the_deviation():
    """A circle in 8 dimensions: as far apart as can be, but in two directions."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    right, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 2)))
    circle = jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], 1) @ right.T, jnp.float32)
    metrics = collapse_metrics(circle)
    assert metrics["effective_rank"] == pytest.approx(2.0, rel=1e-4)
    assert metrics["embedding_std"] > 0.5 / np.sqrt(8)
    assert metrics["embedding_std"] == pytest.approx(
        float(jnp.mean(jnp.std(circle, axis=0))), rel=1e-5
    )


def test_eight_devices_measure_what_one_does():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    z = spectrum([4.0, 2.0, 1.0, 1.0], 32, 8)
    sharded = jax.device_put(z, NamedSharding(mesh, PartitionSpec("data")))
    program = jax.jit(collapse_metrics)
    one, eight = program(z), program(sharded)
    for name in one:
        assert eight[name] == pytest.approx(float(one[name]), rel=1e-5)


def test_examples_hold():
    assert doctest.testmod(collapse).failed == 0
