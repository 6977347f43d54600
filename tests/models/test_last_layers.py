"""What predicts pixels or classes at places does so in float32, whatever the layers before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import DenseHead, Upscaler, build_decoder


@pytest.mark.parametrize(
    "network",
    [
        DenseHead(8, 5, 8, jnp.bfloat16),
        Upscaler(2, 3, 8, jnp.bfloat16),
        build_decoder("transposed", size=8, channels=3, widths=(8,), dtype="bfloat16"),
        build_decoder("resized", size=8, channels=3, widths=(8,), dtype="bfloat16"),
    ],
)
def test_the_last_layer_is_in_float32(network):
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 6))
    found, _ = network.init_with_output(jax.random.key(1), x, False)
    rounded = np.asarray(found.astype(jnp.bfloat16), np.float32)
    assert np.mean(np.asarray(found) == rounded) < 0.1
