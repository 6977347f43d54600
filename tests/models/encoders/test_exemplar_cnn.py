"""Exemplar-CNN: the shapes of the published network, and its dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import build_encoder


def test_shapes_are_those_of_the_published_network():
    network = build_encoder("exemplar_cnn")
    images = jnp.zeros((2, 32, 32, 3))
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), images, False))
    kernels = {name: layer["kernel"].shape for name, layer in variables["params"].items()}
    assert kernels == {
        "conv1": (5, 5, 3, 92),
        "conv2": (5, 5, 92, 256),
        "conv3": (5, 5, 256, 512),
        "dense": (512 * 7 * 7, 1024),
    }
    outputs = jax.eval_shape(lambda v: network.apply(v, images, False), variables)
    assert {name: x.shape for name, x in outputs.items()} == {
        "stage1": (2, 32, 32, 92),
        "stage2": (2, 15, 15, 256),
        "stage3": (2, 7, 7, 512),
        "features": (2, 1024),
    }


def test_half_of_the_features_are_dropped_in_training_alone():
    network = build_encoder("exemplar_cnn", widths=(4, 4), features=1000)
    images = jax.random.normal(jax.random.key(1), (2, 12, 12, 3))
    variables = network.init(jax.random.key(0), images, False)
    whole = network.apply(variables, images, False)["features"]
    dropped = network.apply(variables, images, True, rngs={"dropout": jax.random.key(2)})
    kept = np.asarray(dropped["features"])[np.asarray(whole) > 0] > 0
    assert kept.mean() == pytest.approx(0.5, abs=0.08)
    with pytest.raises(ValueError, match="fewer widths"):
        network.apply(variables, images[:, :2, :2], False)
