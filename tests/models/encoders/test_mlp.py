"""The perceptron against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import MLP


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def test_the_first_layer_has_no_norm_and_later_ones_no_parameters_in_theirs():
    images = np.random.default_rng(0).uniform(size=(6, 4, 4, 1))
    network = MLP((5, 3))
    x = jnp.asarray(images, jnp.float32)
    variables = network.init(jax.random.key(0), x, False)
    outputs, _ = network.apply(variables, x, True, mutable=["batch_stats"])
    first, second = (
        np.asarray(variables["params"][f"block{i}_dense"]["kernel"], np.float64) for i in (1, 2)
    )
    assert set(variables["params"]) == {"block1_dense", "block2_dense"}
    hidden = leaky(images.reshape(6, -1) @ first)
    np.testing.assert_allclose(outputs["block1"][:, 0, 0], hidden, rtol=1e-4, atol=1e-6)
    y = hidden @ second
    expected = leaky((y - y.mean(axis=0)) / np.sqrt(y.var(axis=0) + 1e-5))
    np.testing.assert_allclose(outputs["features"], expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="no layers"):
        MLP(()).init(jax.random.key(0), x, False)
