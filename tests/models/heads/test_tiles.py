"""Layers on tiles, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import FullyConnected, TileEmbedding

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["linear", "relu", "bn_relu"])
def test_each_kind_is_its_formula(kind):
    x = RNG.normal(size=(6, 4, 5))
    module = FullyConnected(3, kind, affine=False)
    variables = module.init(jax.random.key(0), jnp.asarray(x, jnp.float32), False)
    assert set(variables["params"]) == {"linear"}  # The norm learns nothing.
    weights = {name: np.asarray(w, np.float64) for name, w in variables["params"]["linear"].items()}
    y, _ = module.apply(variables, jnp.asarray(x, jnp.float32), True, mutable=["batch_stats"])
    expected = x @ weights["kernel"] + weights.get("bias", 0.0)
    if kind == "bn_relu":
        assert set(weights) == {"kernel"}
        expected = expected - expected.mean(axis=(0, 1))
        expected /= np.sqrt((expected**2).mean(axis=(0, 1)) + 1e-5)
    np.testing.assert_allclose(
        y, expected if kind == "linear" else np.maximum(expected, 0), rtol=1e-4, atol=1e-5
    )


def test_a_map_is_pooled_and_flattened_tile_by_tile():
    maps = RNG.normal(size=(2, 3, 5, 5, 4))
    module = TileEmbedding(6, "linear", pool=True)
    variables = module.init(jax.random.key(0), jnp.asarray(maps, jnp.float32), False)
    y = module.apply(variables, jnp.asarray(maps, jnp.float32), False)
    pooled = [maps[:, :, i : i + 3, j : j + 3].max(axis=(2, 3)) for i in (0, 2) for j in (0, 2)]
    weights = variables["params"]["fc6"]["linear"]
    expected = np.stack(pooled, axis=2).reshape(2, 3, 16) @ np.asarray(weights["kernel"])
    np.testing.assert_allclose(y, expected + np.asarray(weights["bias"]), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match=r"one of .*, not 'gelu'"):
        FullyConnected(3, "gelu").init(jax.random.key(0), jnp.zeros((2, 3)), False)
    with pytest.raises(ValueError, match="no map of at least 3x3 to pool"):
        TileEmbedding(3, "relu", pool=True).init(jax.random.key(0), jnp.zeros((2, 9, 8)), False)
