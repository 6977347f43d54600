"""The small network has the outputs of the large ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import SmallConvNet


def variables_and_outputs(net: SmallConvNet, *shape: int):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    outputs, variables = jax.eval_shape(
        lambda x: net.init_with_output(jax.random.key(0), x, train=True), x
    )
    return variables, {name: output.shape for name, output in outputs.items()}


@pytest.mark.parametrize(
    ("side", "stride", "sides"),
    [(16, 2, (8, 8, 4, 2)), (28, 2, (14, 14, 7, 4)), (16, 1, (16, 16, 8, 4))],
)
def test_every_stage_has_its_shape(side, stride, sides):
    net = SmallConvNet(widths=(4, 6, 8), stem_stride=stride)
    _, shapes = variables_and_outputs(net, 2, side, side, 1)
    names, widths = ("stem", "stage1", "stage2", "stage3"), (4, 4, 6, 8)
    expected = {
        name: (2, places, places, width)
        for name, places, width in zip(names, sides, widths, strict=True)
    }
    assert shapes == expected | {"features": (2, 8)}


def test_parameters_are_one_kernel_and_one_norm_a_layer():
    variables, _ = variables_and_outputs(SmallConvNet(widths=(4, 6)), 2, 8, 8, 3)
    kernels = 9 * (3 * 4 + 4 * 4 + 4 * 6)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == kernels + 2 * (
        4 + 4 + 6
    )


def test_features_are_the_mean_of_the_last_stage_and_no_example_sees_another():
    net = SmallConvNet(widths=(4, 6))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8, 8, 1)), jnp.float32)
    variables = net.init(jax.random.key(0), x, train=True)
    outputs = net.apply(variables, x, train=False)
    expected = np.asarray(outputs["stage2"], np.float64).mean((1, 2))
    np.testing.assert_allclose(outputs["features"], expected, rtol=1e-5)
    alone = net.apply(variables, x[1:2], train=False)["features"]
    np.testing.assert_allclose(alone, outputs["features"][1:2], rtol=1e-5, atol=1e-6)


def test_images_smaller_than_the_total_stride_are_refused():
    with pytest.raises(ValueError, match="4x4 pixels do not fit a network of total stride 8"):
        variables_and_outputs(SmallConvNet(), 2, 4, 4, 1)


def test_a_network_without_stages_is_refused():
    with pytest.raises(ValueError, match="no stages"):
        variables_and_outputs(SmallConvNet(widths=()), 2, 8, 8, 1)


def test_more_convolutions_a_stage_keep_its_places_and_add_their_kernels():
    variables, shapes = variables_and_outputs(
        SmallConvNet(widths=(4, 6), convs_per_stage=3), 2, 8, 8, 3
    )
    assert shapes["stage1"] == (2, 4, 4, 4)
    assert shapes["stage2"] == (2, 2, 2, 6)
    kernels = 9 * (3 * 4 + 3 * 4 * 4 + 4 * 6 + 2 * 6 * 6)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == kernels + 2 * (
        4 + 3 * 4 + 3 * 6
    )
