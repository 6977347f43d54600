"""NT-Xent against a float64 computation by loops, its limits, and its independence of the mesh."""

import doctest
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import TypeCheckError

from ssljax.losses import contrastive, nt_xent

LOSS = jax.jit(nt_xent)
BOTH_GRADIENTS = jax.jit(jax.value_and_grad(nt_xent, argnums=(0, 1)))


def reference(z1: np.ndarray, z2: np.ndarray, temperature: float) -> float:
    """The loss in float64, one term at a time."""
    n = len(z1)
    z = np.concatenate([z1, z2]).astype(np.float64)
    z = np.stack([row / max(np.sqrt(row @ row), 1e-6) for row in z])
    total = 0.0
    for i in range(2 * n):
        positive = (i + n) % (2 * n)
        denominator = sum(np.exp(z[i] @ z[k] / temperature) for k in range(2 * n) if k != i)
        total += -np.log(np.exp(z[i] @ z[positive] / temperature) / denominator)
    return total / n


def embeddings(batch: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z1 = rng.normal(size=(batch, dim))
    z2 = z1 + 0.5 * rng.normal(size=(batch, dim))
    return z1.astype(np.float32), 3 * z2.astype(np.float32)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0])
@pytest.mark.parametrize(("batch", "dim"), [(1, 3), (2, 5), (7, 4)])
def test_value_is_that_of_the_formula(batch, dim, temperature):
    z1, z2 = embeddings(batch, dim)
    actual = LOSS(jnp.asarray(z1), jnp.asarray(z2), temperature)
    np.testing.assert_allclose(actual, reference(z1, z2, temperature), rtol=1e-5, atol=1e-6)


def test_gradient_is_the_slope_of_the_formula():
    z1, z2 = embeddings(5, 4)
    _, actual = BOTH_GRADIENTS(jnp.asarray(z1), jnp.asarray(z2), 0.3)
    step = 1e-5
    for which in (0, 1):
        expected = np.zeros_like(z1, dtype=np.float64)
        for index in np.ndindex(z1.shape):
            up, down = ([z1.astype(np.float64), z2.astype(np.float64)] for _ in range(2))
            up[which][index] += step
            down[which][index] -= step
            expected[index] = (reference(*up, 0.3) - reference(*down, 0.3)) / (2 * step)
        np.testing.assert_allclose(actual[which], expected, rtol=1e-4, atol=1e-6)


def test_is_twice_the_mean_over_all_embeddings_of_optax():
    z1, z2 = map(jnp.asarray, embeddings(6, 8))
    both = jnp.concatenate([z1, z2])
    labels = jnp.tile(jnp.arange(6), 2)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        of_optax = optax.losses.ntxent(both, labels, temperature=0.2)
    np.testing.assert_allclose(LOSS(z1, z2, 0.2), 2 * of_optax, rtol=1e-6)


def test_the_views_may_be_swapped_and_the_images_reordered():
    z1, z2 = map(jnp.asarray, embeddings(9, 4))
    order = np.random.default_rng(1).permutation(9)
    expected = LOSS(z1, z2)
    np.testing.assert_allclose(LOSS(z2, z1), expected, rtol=1e-6)
    np.testing.assert_allclose(LOSS(z1[order], z2[order]), expected, rtol=1e-6)
    assert abs(LOSS(z1[order], z2) - expected) > 0.1


def test_the_length_of_an_embedding_is_of_no_account():
    z1, z2 = map(jnp.asarray, embeddings(6, 4))
    lengths = jnp.asarray([1e-4, 0.1, 1, 10, 1e3, 1e6], jnp.float32)[:, None]
    np.testing.assert_allclose(LOSS(z1 * lengths, z2), LOSS(z1, z2), rtol=1e-5)
    _, (gradient, _) = BOTH_GRADIENTS(z1, z2)
    np.testing.assert_allclose(jnp.sum(gradient * z1, axis=1), np.zeros(6), atol=1e-6)


def test_identical_embeddings_give_the_loss_of_guessing():
    z = jnp.ones((8, 3))
    np.testing.assert_allclose(LOSS(z, z, 0.1), 2 * np.log(15), rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_aligned_pairs_at_right_angles_to_all_others(temperature):
    z = jnp.eye(6)
    expected = 2 * np.log1p(10 * np.exp(-1 / temperature))
    np.testing.assert_allclose(LOSS(z, 2 * z, temperature), expected, rtol=1e-5, atol=1e-6)


def test_one_pair_alone_has_nothing_to_learn():
    z1, z2 = map(jnp.asarray, embeddings(1, 4))
    value, (gradient, _) = BOTH_GRADIENTS(z1, z2)
    np.testing.assert_allclose(value, 0.0, atol=1e-6)
    np.testing.assert_allclose(gradient, np.zeros((1, 4)), atol=1e-6)


def test_a_zero_embedding_is_alike_to_none():
    z1, z2 = embeddings(4, 3)
    z1[2] = 0
    value, (gradient, _) = BOTH_GRADIENTS(jnp.asarray(z1), jnp.asarray(z2))
    np.testing.assert_allclose(value, reference(z1, z2, 0.5), rtol=1e-5)
    assert np.all(np.isfinite(gradient))


def test_bfloat16_embeddings_are_compared_in_float32():
    z1, z2 = (jnp.asarray(z, jnp.bfloat16) for z in embeddings(16, 8))
    value, (gradient, _) = BOTH_GRADIENTS(z1, z2, 0.02)
    exact = reference(np.asarray(z1, np.float64), np.asarray(z2, np.float64), 0.02)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, exact, rtol=1e-5)
    assert gradient.dtype == jnp.bfloat16
    assert np.all(np.isfinite(np.asarray(gradient, np.float32)))


def test_large_similarities_over_a_small_temperature_stay_finite():
    z1, z2 = map(jnp.asarray, embeddings(6, 4))
    value, (gradient, _) = BOTH_GRADIENTS(-z1, z2, 1e-3)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


def sharded_over_eight(*arrays: jax.Array) -> list[jax.Array]:
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return [jax.device_put(array, sharding) for array in arrays]


def test_eight_devices_give_the_value_and_gradient_of_one():
    z1, z2 = map(jnp.asarray, embeddings(32, 16))
    value, gradients = BOTH_GRADIENTS(z1, z2, 0.1)
    value8, gradients8 = BOTH_GRADIENTS(*sharded_over_eight(z1, z2), 0.1)
    np.testing.assert_allclose(value8, value, rtol=1e-5)
    for gradient8, gradient in zip(gradients8, gradients, strict=True):
        scale = float(jnp.max(jnp.abs(gradient)))
        np.testing.assert_allclose(gradient8, gradient, rtol=1e-5, atol=1e-5 * scale)


def test_devices_exchange_embeddings_and_no_similarities():
    z1, z2 = map(jnp.asarray, embeddings(128, 4))
    hlo = BOTH_GRADIENTS.lower(*sharded_over_eight(z1, z2)).compile().as_text()
    pattern = r"= (.*?) (?:all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute)\("
    moved = [
        np.prod([int(size) for size in shape.split(",") if size])
        for result in re.findall(pattern, hlo)
        for shape in re.findall(r"\w+\[([\d,]*)\]", result)
    ]
    assert moved
    assert max(moved) <= z1.size


def test_impossible_arguments_are_refused():
    z = jnp.ones((4, 3))
    with pytest.raises((ValueError, TypeCheckError), match=r"differ in shape|z2"):
        nt_xent(z, z[:3])
    for temperature in (0.0, -1.0):
        with pytest.raises(ValueError, match="temperature"):
            nt_xent(z, z, temperature)


def test_the_examples_in_the_docstrings_hold():
    result = doctest.testmod(contrastive)
    assert result.attempted > 0
    assert result.failed == 0
