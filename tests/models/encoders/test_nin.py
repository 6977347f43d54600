"""Network in network has the layers and the parameters of the published code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import NetworkInNetwork


def traced(net: NetworkInNetwork, *shape: int):
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    outputs, variables = jax.eval_shape(
        lambda x: net.init_with_output(jax.random.key(0), x, train=False), x
    )
    return {name: output.shape for name, output in outputs.items()}, variables


@pytest.mark.parametrize("blocks", [3, 4, 5])
def test_parameters_are_as_many_as_in_rotnet(blocks):
    # architectures/NetworkInNetwork.py of gidariss/FeatureLearningRotNet, without its classifier of
    # 192 * 4 + 4: kernels without biases, and scale and shift of every norm.
    first = 3 * 25 * 192 + 192 * 160 + 160 * 96 + 2 * (192 + 160 + 96)
    second = 96 * 25 * 192 + 2 * 192 * 192 + 2 * 3 * 192
    later = 192 * 9 * 192 + 2 * 192 * 192 + 2 * 3 * 192
    shapes, variables = traced(NetworkInNetwork(blocks), 1, 32, 32, 3)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count == first + second + (blocks - 2) * later
    if blocks == 4:
        assert count + 192 * 4 + 4 == 1_411_140
    pooled = {"block1": (1, 16, 16, 96), "block2": (1, 8, 8, 192)}
    rest = {f"block{i}": (1, 8, 8, 192) for i in range(3, blocks + 1)}
    assert shapes == pooled | rest | {"features": (1, 192)}


def test_kernels_start_as_published():
    net = NetworkInNetwork(2, (64, 32, 16))
    params = net.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), train=False)["params"]
    for name, layer in params.items():
        if "kernel" in layer:
            side, _, _, width = layer["kernel"].shape
            expected = np.sqrt(2 / (side * side * width))
            np.testing.assert_allclose(np.std(layer["kernel"]), expected, rtol=0.1, err_msg=name)
            np.testing.assert_allclose(np.mean(layer["kernel"]), 0, atol=0.2 * expected)


def test_pools_are_those_of_the_published_code():
    # One image of ones through norms at the identity: the mean of a padded corner counts the zeros.
    net = NetworkInNetwork(2, (1, 1, 1))
    x = jnp.ones((1, 8, 8, 1))
    variables = net.init(jax.random.key(0), x, train=False)
    params = jax.tree.map(jnp.ones_like, variables["params"])
    for name, layer in params.items():
        if "norm" in name:
            layer["bias"] = jnp.zeros_like(layer["bias"])
        else:  # Of a kernel the centre alone.
            side = layer["kernel"].shape[0] // 2
            layer["kernel"] = jnp.zeros_like(layer["kernel"]).at[side, side].set(1.0)
    outputs = net.apply({**variables, "params": params}, x, train=False)
    np.testing.assert_allclose(outputs["block1"], np.ones((1, 4, 4, 1)), rtol=1e-4)
    means = np.array([[4, 6], [6, 9]]) / 9
    np.testing.assert_allclose(outputs["block2"][0, ..., 0], means, rtol=1e-4)


@pytest.mark.parametrize("options", [{"blocks": 1}, {"widths": (4, 4)}])
def test_too_few_blocks_or_widths_are_refused(options):
    with pytest.raises(ValueError, match="at least two blocks and three widths"):
        traced(NetworkInNetwork(**options), 1, 8, 8, 1)
