"""Conditional and self-modulated batch norm against their formulas in float64 NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import BatchNorm, ConditionalBatchNorm, SelfModulatedBatchNorm
from ssljax.models.layers.conditional_norm import LatentBatchNorm

RNG = np.random.default_rng(0)
X = jnp.asarray(2 * RNG.normal(size=(6, 3, 3, 5)) + 1, jnp.float32)
LABELS = jnp.asarray([0, 2, 1, 2, 0, 3], jnp.int32)
LATENTS = jnp.asarray(RNG.normal(size=(6, 7)), jnp.float32)


def normalised(x) -> np.ndarray:
    x = np.float64(x)
    return (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)


@pytest.mark.parametrize("train", [True, False])
def test_equal_scales_and_biases_are_batch_norm(train):
    scale, bias = (jnp.asarray(RNG.normal(size=5), jnp.float32) for _ in range(2))
    stats = {"mean": jnp.full(5, 0.5), "var": jnp.full(5, 2.0)}
    conditional = {
        "params": {"scale": jnp.tile(scale, (4, 1)), "bias": jnp.tile(bias, (4, 1))},
        "batch_stats": {"norm": stats},
    }
    plain = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
    norm = ConditionalBatchNorm(4)
    y, updated = norm.apply(conditional, X, train, LABELS, mutable="batch_stats")
    expected, kept = BatchNorm().apply(plain, X, train, mutable="batch_stats")
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, updated["batch_stats"]["norm"], kept["batch_stats"])


def test_every_class_has_its_scale_and_bias():
    norm = ConditionalBatchNorm(4)
    variables = norm.init(jax.random.key(0), X, True, LABELS)
    np.testing.assert_array_equal(variables["params"]["scale"], np.ones((4, 5)))
    np.testing.assert_array_equal(variables["params"]["bias"], np.zeros((4, 5)))
    scale, bias = RNG.normal(size=(2, 4, 5)).astype(np.float32)
    params = {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}
    y, _ = norm.apply(variables | {"params": params}, X, True, LABELS, mutable="batch_stats")
    labels = np.asarray(LABELS)
    expected = normalised(X) * scale[labels][:, None, None] + bias[labels][:, None, None]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_self_modulation_is_its_formula():
    norm = SelfModulatedBatchNorm()
    variables = norm.init(jax.random.key(0), X, True, LATENTS)
    y, _ = norm.apply(variables, X, True, LATENTS, mutable="batch_stats")
    layers = jax.tree.map(np.float64, variables["params"])
    assert layers["hidden_dense"]["kernel"].shape == (7, 32)
    np.testing.assert_array_equal(layers["scale"]["bias"], np.ones(5))
    np.testing.assert_array_equal(layers["bias"]["bias"], np.zeros(5))

    def linear(name, h):
        return h @ layers[name]["kernel"] + layers[name]["bias"]

    hidden = np.maximum(linear("hidden_dense", np.float64(LATENTS)), 0)
    scale, bias = (linear(name, hidden)[:, None, None] for name in ("scale", "bias"))
    np.testing.assert_allclose(y, normalised(X) * scale + bias, rtol=1e-4, atol=1e-5)
    assert np.abs(scale - 1).max() > 1e-3


@pytest.mark.parametrize(
    ("norm", "condition"),
    [
        (ConditionalBatchNorm(4, dtype=jnp.bfloat16), LABELS),
        (SelfModulatedBatchNorm(dtype=jnp.bfloat16), LATENTS),
    ],
    ids=["conditional", "self_modulated"],
)
def test_bfloat16_activations_have_float32_statistics(norm, condition):
    x = X.astype(jnp.bfloat16)
    variables = norm.init(jax.random.key(0), x, True, condition)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    y, _ = norm.apply(variables, x, True, condition, mutable="batch_stats")
    assert y.dtype == jnp.bfloat16
    exact, _ = norm.clone(dtype=jnp.float32).apply(
        variables, x, True, condition, mutable="batch_stats"
    )
    np.testing.assert_allclose(np.float64(y), np.float64(exact), rtol=2**-8, atol=1e-5)


def test_a_label_that_is_no_class_gives_nan():
    norm = ConditionalBatchNorm(3)
    variables = norm.init(jax.random.key(0), X, True, LABELS)
    labels = LABELS.at[:2].set(jnp.asarray([-1, -3]))
    y = norm.apply(variables, X, False, labels)
    assert np.all(np.isnan(y[jnp.asarray([0, 1, 5])]))
    assert np.all(np.isfinite(y[2:5]))


def test_scale_and_bias_are_linear_in_the_latent_vector():
    norm = LatentBatchNorm(spectral_norm=False)
    variables = norm.init(jax.random.key(0), X, True, LATENTS)
    kernels = (np.float64(variables["params"][name]["kernel"]) for name in ("scale", "bias"))
    scale, bias = (np.float64(LATENTS) @ kernel for kernel in kernels)
    expected = normalised(X) * (1 + scale)[:, None, None] + bias[:, None, None]
    y, _ = norm.apply(variables, X, True, LATENTS, mutable="batch_stats")
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_spectral_norm_divides_the_kernels_of_scale_and_bias_by_their_largest_singular_values():
    norm = LatentBatchNorm()
    variables = norm.init(jax.random.key(0), X, True, LATENTS)
    assert set(variables["spectral"]) == {"scale", "bias"}
    spectral, layers = {}, {}
    for name in ("scale", "bias"):
        kernel = np.float64(variables["params"][name]["kernel"])
        _, values, rows = np.linalg.svd(kernel)
        u = jnp.asarray(rows[0], jnp.float32)
        spectral[name] = jax.tree.map(
            lambda x, u=u: u.reshape(x.shape), variables["spectral"][name]
        )
        layers[name] = np.float64(LATENTS) @ (kernel / values[0])
        assert abs(values[0] - 1) > 0.05
    y = norm.apply({**variables, "spectral": spectral}, X, False, LATENTS)
    scale, bias = (layers[name][:, None, None] for name in ("scale", "bias"))
    # The running statistics are those of no image: mean 0 and variance 1.
    expected = np.float64(X) / np.sqrt(1 + 1e-5) * (1 + scale) + bias
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
