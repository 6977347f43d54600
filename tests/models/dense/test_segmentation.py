"""Atrous pyramids, dilated networks and the context module against NumPy, and what they see."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from holes import convolution, relu

from ssljax.models import (
    ASPP,
    VGG,
    BatchNorm,
    ContextHead,
    DilatedVGG,
    LinearHead,
    ResNet,
    SegmentationNet,
    SmallConvNet,
    build_encoder,
)
from ssljax.models.encoders.resnet import BasicBlock, Bottleneck
from ssljax.models.layers.padded import stage_strides


def drawn(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def made(network, x, train=False):
    """The output, and the parameters as NumPy arrays."""
    y, variables = jax.jit(network.init_with_output, static_argnums=2)(jax.random.key(1), x, train)
    return y, jax.tree.map(np.asarray, variables["params"])


def layer(x, params, dilation=1, padded=True):
    return convolution(x, params["kernel"], dilation, padded) + params["bias"]


def test_the_pyramid_is_the_sum_of_convolutions_with_holes():
    x = drawn(2, 7, 9, 4)
    y, params = made(ASPP(3, (1, 3, 6)), x)
    assert params["rate3"]["kernel"].std() == pytest.approx(0.01, rel=0.25)
    expected = sum(layer(x, params[f"rate{rate}"], rate) for rate in (1, 3, 6))
    np.testing.assert_allclose(y, expected, atol=1e-6)


def test_the_published_pyramid_has_four_rates_with_biases():
    _, variables = jax.eval_shape(
        lambda: ASPP(21).init_with_output(jax.random.key(0), jnp.zeros((1, 41, 41, 2048)), True)
    )
    assert set(variables["params"]) == {"rate6", "rate12", "rate18", "rate24"}
    sizes = [x.size for x in jax.tree.leaves(variables)]
    assert sum(sizes) == 4 * (9 * 2048 * 21 + 21)


def test_the_context_module_starts_as_the_identity_of_what_is_above_0():
    x = drawn(2, 6, 6, 5)
    y, params = made(ContextHead(3, noise=0.0, std=1.0), x)
    assert len(params) == 1 + 8
    front = params["front"]["classifier"]
    np.testing.assert_allclose(y, relu(layer(x, front)), rtol=1e-5, atol=1e-5)


def test_the_context_module_is_that_of_numpy():
    x = drawn(1, 9, 8, 5)
    y, params = made(ContextHead(3, (1, 2, 4), std=1.0, noise=0.3), x)
    expected = layer(x, params["front"]["classifier"])
    for number, dilation in enumerate((1, 2, 4), start=1):
        expected = relu(layer(expected, params[f"context{number}"], dilation))
    expected = layer(expected, params["classifier"])
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    centre = params["context2"]["kernel"][1, 1]
    assert np.diag(centre).mean() > 0.5 > np.abs(centre - np.diag(np.diag(centre))).mean()


def seen(network, x, place):
    """The rows of a map on which the scores of a place depend."""

    def score(x):
        return jnp.sum(network(x)[0, place, place])

    slopes = jax.jit(jax.grad(score))(x)
    return np.flatnonzero(np.abs(np.asarray(slopes)).sum(axis=(0, 2, 3)))


def positive(network, x):
    """A network whose parameters are all above 0: nothing cancels, no rectifier is shut."""
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), x, False))
    filled = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.1, leaf.dtype), variables)
    return lambda x: network.apply(filled, x, False)


def test_receptive_fields_are_as_large_as_the_dilations_make_them():
    x = jnp.ones((1, 81, 81, 1))
    # Of 3x3 kernels: twice the sum of the dilations, and the place itself.
    rows = seen(positive(ContextHead(2), x), x, 40)
    np.testing.assert_array_equal(rows, np.arange(40 - 33, 40 + 34))
    rows = seen(positive(ASPP(2, (6, 24)), x), x, 40)
    np.testing.assert_array_equal(rows, [16, 34, 40, 46, 64])


@pytest.mark.parametrize(
    "network",
    [
        SmallConvNet((3, 4, 5), convs_per_stage=2, stem_stride=1),
        ResNet((1, 1, 2, 1), BasicBlock, width=1 / 16, stem="cifar", stages=3),
        ResNet((1, 1, 2, 1), Bottleneck, width=1 / 16, stem="cifar", stages=3),
    ],
)
def test_a_stride_that_is_left_out_leaves_every_second_place_as_it_was(network):
    x = drawn(1, 16, 16, 2)
    variables = network.init(jax.random.key(0), x, False)
    nets = network, network.clone(output_stride=1)
    y, z = (jax.jit(net.apply, static_argnums=2)(variables, x, False) for net in nets)
    assert (y["stage3"].shape[1], z["stage3"].shape[1]) == (4, 16)
    np.testing.assert_allclose(z["stage3"][:, ::4, ::4], y["stage3"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(z["stage2"][:, ::2, ::2], y["stage2"], rtol=1e-4, atol=1e-5)


def test_strides_turn_to_dilations():
    assert stage_strides(4, 4, 0) == [(1, 1, 1), (2, 1, 1), (2, 1, 1), (2, 1, 1)]
    assert stage_strides(4, 4, 8) == [(1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 4)]
    assert stage_strides(4, 4, 16) == [(1, 1, 1), (2, 1, 1), (2, 1, 1), (1, 1, 2)]
    assert [dilation for *_, dilation in stage_strides(1, 5, 8)] == [1, 1, 1, 1, 2]
    with pytest.raises(ValueError, match=r"output stride is 12; this network's can be 4, 8, 16"):
        stage_strides(4, 3, 12)


def shapes(network, side):
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    return jax.eval_shape(lambda x: network.init_with_output(jax.random.key(0), x, True), images)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_resnets_of_any_output_stride_have_the_same_parameters(block):
    build = functools.partial(ResNet, (1, 1, 2, 2), block, width=1 / 16)
    _, plain = shapes(build(), 64)
    outputs, atrous = shapes(build(output_stride=8), 64)
    assert jax.tree.map(lambda x: x.shape, plain) == jax.tree.map(lambda x: x.shape, atrous)
    assert [outputs[f"stage{i}"].shape[1] for i in range(1, 5)] == [16, 8, 8, 8]


def test_the_map_of_deeplab_has_41_places_a_side():
    outputs, _ = shapes(build_encoder("resnet101", output_stride=8), 321)
    assert outputs["stage4"].shape == (1, 41, 41, 2048)
    outputs, variables = shapes(build_encoder("vgg16", output_stride=8), 321)
    assert outputs["stage5"].shape == (1, 40, 40, 512)
    assert len(variables["params"]) == 13
    assert sum(x.size for x in jax.tree.leaves(variables)) == 14_714_688


def test_vgg_dilates_its_last_stage():
    x = drawn(1, 12, 12, 1)
    network = VGG((1, 1), (1, 2), output_stride=1)
    y, params = made(network, x)
    expected = relu(layer(x, params["stage1_conv1"]))
    around = np.pad(expected, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    expected = np.lib.stride_tricks.sliding_window_view(around, (3, 3), (1, 2)).max(axis=(-2, -1))
    for name in ("stage2_conv1", "stage2_conv2"):
        expected = relu(layer(expected, params[name], 2))
    np.testing.assert_allclose(y["stage2"], expected, rtol=1e-4, atol=1e-6)


def test_the_dilated_front_end_is_valid_on_a_mirrored_image():
    outputs, variables = shapes(DilatedVGG(), 528)
    # 900 pixels become 66 places: the margin of the authors' code.
    assert outputs["stage7"].shape == (1, 66, 66, 4096)
    assert variables["params"]["stage6_conv1"]["kernel"].shape == (7, 7, 512, 4096)
    network = DilatedVGG((1, 1, 1, 1, 1, 1, 1))
    # Of a pool only the largest pixel is seen: once the last of its window, once the first.
    x = jnp.broadcast_to(jnp.arange(1.0, 401.0)[None, :, None, None], (1, 400, 8, 1))

    def last(x):
        return positive(network, x)(x)["stage7"][:, 25:26, :1]

    rows = [seen(last, image, 0) for image in (x, x[:, ::-1])]
    # Half of what the valid convolutions take, on each side of the 8 pixels of a place.
    assert max(map(np.max, rows)) == 207 + 186
    assert min(map(np.min, rows)) == 200 - 186
    with pytest.raises(ValueError, match="20x20 pixels do not fit the dilated VGG"):
        shapes(network, 20)


def test_smaller_images_are_seen_too_and_the_largest_score_counts():
    x = drawn(2, 16, 16, 3)
    network = SegmentationNet(SmallConvNet((4,)), LinearHead(3, 1.0), scales=(1.0, 0.5))
    variables = network.init(jax.random.key(0), x, False)
    found = network.apply(variables, x, False)
    assert {name for name in found if "logits" in name} == {"pixel_logits"}
    training, _ = network.apply(variables, x, True, mutable=["batch_stats"])
    small = training["pixel_logits/0.5"]
    assert small.shape == (2, 4, 4, 3)
    whole = network.clone(scales=(1.0,)).apply(variables, x, False)["pixel_logits"]
    # The centres of 8 pixels lie halfway between pairs of 16.
    half = jnp.mean(x.reshape(2, 8, 2, 8, 2, 3), axis=(2, 4))
    small = network.clone(scales=(1.0,)).apply(variables, half, False)["pixel_logits"]
    large = jax.image.resize(small, whole.shape, "linear")
    np.testing.assert_allclose(found["pixel_logits"], np.maximum(whole, large), atol=1e-5)


def test_a_frozen_encoder_gets_no_gradient_and_keeps_its_statistics():
    x = drawn(4, 8, 8, 3)
    frozen = SegmentationNet(SmallConvNet((4,)), LinearHead(3), trains_encoder=False)
    fixed = SegmentationNet(
        SmallConvNet((4,), norm=functools.partial(BatchNorm, frozen=True)), LinearHead(3)
    )
    variables = frozen.init(jax.random.key(0), x, False)

    def loss(params, network):
        weights = {**variables, "params": params}
        outputs, changed = network.apply(weights, x, True, mutable=["batch_stats"])
        return jnp.sum(jnp.square(outputs["pixel_logits"])), changed

    for network in (frozen, fixed):
        slopes, changed = jax.grad(loss, has_aux=True)(variables["params"], network)
        moved = [bool(np.any(x)) for x in jax.tree.leaves(slopes["encoder"])]
        assert any(moved) == (network is fixed)
        assert np.any(slopes["head"]["classifier"]["kernel"])
        for a, b in zip(
            jax.tree.leaves(changed), jax.tree.leaves(variables["batch_stats"]), strict=True
        ):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (ASPP(3, (6, 6)), "rates of the pyramid are"),
        (SegmentationNet(SmallConvNet((4,)), LinearHead(3), stage="stage9"), "no stage 'stage9'"),
        (SegmentationNet(SmallConvNet((4,)), LinearHead(3), scales=(0.5, 1.0)), "scales are"),
        (SegmentationNet(SmallConvNet((4,)), LinearHead(3), scales=(1.0, 0.0)), "above 0"),
    ],
)
def test_what_does_not_fit_is_told(network, told):
    with pytest.raises(ValueError, match=told):
        shapes(network, 16)
