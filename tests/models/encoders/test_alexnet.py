"""AlexNet has the layers and the parameters of the published code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import AlexNet, NoNorm


def traced(net: AlexNet, *shape: int):
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    outputs, variables = jax.eval_shape(
        lambda x: net.init_with_output(jax.random.key(0), x, train=False), x
    )
    return {name: output.shape for name, output in outputs.items()}, variables


def count(params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_parameters_are_as_many_as_in_rotnet():
    # architectures/AlexNet.py of gidariss/FeatureLearningRotNet, without its classifier of
    # 4096 * 4 + 4: kernels and biases of five convolutions, scale and shift of their norms, and
    # two layers of 4096 without biases, again with norms.
    convolutions = 64 * (3 * 121 + 1) + 192 * (64 * 25 + 1) + 384 * (192 * 9 + 1)
    convolutions += 256 * (384 * 9 + 1) + 256 * (256 * 9 + 1)
    norms = 2 * (64 + 192 + 384 + 256 + 256)
    connected = 6 * 6 * 256 * 4096 + 4096 * 4096 + 2 * (4096 + 4096)
    assert convolutions + norms + connected + 4096 * 4 + 4 == 57_030_724

    _, trunk = traced(AlexNet(), 1, 224, 224, 3)
    assert count(trunk["params"]) == convolutions + norms == 2_472_000
    shapes, whole = traced(AlexNet(fc_widths=(4096, 4096)), 1, 224, 224, 3)
    assert count(whole["params"]) == convolutions + norms + connected
    assert shapes["features"] == (1, 4096)


@pytest.mark.parametrize(
    ("side", "stride", "sides"),
    [(224, 4, (55, 27, 13)), (227, 4, (56, 27, 13)), (64, 2, (29, 14, 6)), (31, 4, (7, 3, 1))],
)
def test_every_convolution_has_its_shape(side, stride, sides):
    shapes, _ = traced(AlexNet(stem_stride=stride), 2, side, side, 3)
    places = (sides[0], sides[1], sides[2], sides[2], sides[2])
    widths = (64, 192, 384, 256, 256)
    expected = {
        f"conv{i}": (2, place, place, width)
        for i, (place, width) in enumerate(zip(places, widths, strict=True), start=1)
    }
    assert shapes == expected | {"features": (2, 256)}


def test_without_a_norm_every_layer_has_a_bias_and_no_image_sees_another():
    net = AlexNet((4, 4, 4, 4, 6), fc_widths=(5,), stem_stride=2, norm=NoNorm)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 40, 40, 1)), jnp.float32)
    outputs, variables = net.init_with_output(jax.random.key(0), x, train=True)
    assert set(variables) == {"params"}
    assert all(set(layer) == {"kernel", "bias"} for layer in variables["params"].values())
    alone = net.apply(variables, x[1:2], train=True)["features"]
    np.testing.assert_allclose(alone, outputs["features"][1:2], rtol=1e-5, atol=1e-6)
    assert np.min(outputs["features"]) == 0.0 < np.max(outputs["features"])


@pytest.mark.parametrize(("fc_widths", "least"), [((), 31), ((8,), 63)])
def test_images_that_would_vanish_are_refused(fc_widths, least):
    net = AlexNet((4, 4, 4, 4, 4), fc_widths=fc_widths)
    traced(net, 1, least, least, 1)
    with pytest.raises(ValueError, match=f"{least - 1} pixels do not fit .* smaller stem_stride"):
        traced(net, 1, least, least - 1, 1)


def test_four_widths_are_refused():
    with pytest.raises(ValueError, match="five convolutions"):
        traced(AlexNet((4, 4, 4, 4)), 1, 64, 64, 1)
