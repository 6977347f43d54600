"""VGG-19 has the published layers."""

import jax
import jax.numpy as jnp
import pytest

from ssljax.models import build_encoder


def shapes(images, **options):
    network = build_encoder("vgg19", **options)
    return jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), images, False))


def test_the_layers_are_those_of_column_e():
    outputs, variables = shapes(jnp.zeros((1, 96, 96, 3)))
    assert [outputs[f"stage{i}"].shape[1:] for i in range(1, 6)] == [
        (96, 96, 64),
        (48, 48, 128),
        (24, 24, 256),
        (12, 12, 512),
        (6, 6, 512),
    ]
    assert len(variables["params"]) == 16
    # 144 million less those of the three fully connected layers.
    assert sum(x.size for x in jax.tree.leaves(variables)) == 20_024_384


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match="This VGG has 5 stages, and 2 widths"):
        shapes(jnp.zeros((1, 32, 32, 3)), widths=(4, 8))
    with pytest.raises(ValueError, match="at least 16x16"):
        shapes(jnp.zeros((1, 8, 8, 3)))
