"""ResNets by their published sizes and shapes; only a tiny one is ever run."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import BatchNorm, ResNet, build_encoder
from ssljax.models.encoders.resnet import BasicBlock, Bottleneck
from ssljax.models.layers.padded import conv, global_average

TINY = partial(ResNet, (1, 1, 1, 1), stem="cifar")


def shapes(encoder, side: int = 64, batch: int = 2, dtype=jnp.float32):
    """Outputs and variables, without computing anything."""
    images = jax.ShapeDtypeStruct((batch, side, side, 3), dtype)
    init = partial(encoder.init_with_output, train=True)
    return jax.eval_shape(init, jax.random.key(0), images)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet18", 11_176_512),
        ("resnet34", 21_284_672),
        ("resnet50", 23_508_032),
        ("resnet101", 42_500_160),
        ("resnet152", 58_143_808),
        ("resnet50x2", 93_907_072),
    ],
)
def test_parameters_are_as_many_as_published(name, count):
    _, variables = shapes(build_encoder(name))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count


@pytest.mark.parametrize(
    ("name", "stem", "side", "sides", "widths"),
    [
        ("resnet18", "imagenet", 224, (56, 56, 28, 14, 7), (64, 64, 128, 256, 512)),
        ("resnet18", "cifar", 32, (32, 32, 16, 8, 4), (64, 64, 128, 256, 512)),
        ("resnet18", "cifar", 28, (28, 28, 14, 7, 4), (64, 64, 128, 256, 512)),
        ("resnet50", "imagenet", 224, (56, 56, 28, 14, 7), (64, 256, 512, 1024, 2048)),
        ("resnet50", "imagenet", 32, (8, 8, 4, 2, 1), (64, 256, 512, 1024, 2048)),
        ("resnet50x2", "imagenet", 224, (56, 56, 28, 14, 7), (128, 512, 1024, 2048, 4096)),
    ],
)
def test_every_stage_has_its_shape(name, stem, side, sides, widths):
    outputs, _ = shapes(build_encoder(name, stem=stem), side)
    assert set(outputs) == {"stem", "stage1", "stage2", "stage3", "stage4", "features"}
    stages = ("stem", "stage1", "stage2", "stage3", "stage4")
    for stage, places, width in zip(stages, sides, widths, strict=True):
        assert outputs[stage].shape == (2, places, places, width)
    assert outputs["features"].shape == (2, widths[-1])


@pytest.mark.parametrize(
    ("block", "strided"), [(BasicBlock, {"conv1"}), (Bottleneck, {"conv2"})], ids=["basic", "neck"]
)
def test_the_stride_is_on_the_first_3x3_convolution_and_the_shortcut(block, strided):
    seen = {}

    def watch(call, args, kwargs, context):
        if isinstance(context.module, nn.Conv) and context.method_name == "__call__":
            conv = context.module
            seen["/".join(conv.path)] = (conv.kernel_size, conv.strides)
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        shapes(TINY(block))
    actual = {path for path, (_, strides) in seen.items() if strides == (2, 2)}
    stages = ("stage2_block1", "stage3_block1", "stage4_block1")
    assert actual == {f"{stage}/{conv}" for stage in stages for conv in strided | {"shortcut_conv"}}
    assert all(seen[f"{stage}/{conv}"][0] == (3, 3) for stage in stages for conv in strided)


def convolution(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Zero-padded alike on all sides, in float64, one place of the output at a time."""
    size = kernel.shape[0]
    pad = size // 2
    x = np.pad(x.astype(np.float64), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = ((side - size) // stride + 1 for side in x.shape[1:3])
    y = np.empty((x.shape[0], height, width, kernel.shape[-1]))
    for row, column in np.ndindex(height, width):
        top, left = row * stride, column * stride
        patch = x[:, top : top + size, left : left + size]
        y[:, row, column] = np.einsum("bijc,ijcd->bd", patch, kernel)
    return y


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 2), (3, 1), (3, 2), (7, 2)])
def test_convolutions_are_padded_alike_on_all_sides(kernel, stride, side):
    x = np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)
    layer = conv(4, kernel, stride, jnp.float32, "conv")
    y, variables = layer.init_with_output(jax.random.key(0), jnp.asarray(x))
    expected = convolution(x, np.float64(variables["params"]["kernel"]), stride)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel", "features"), [(1, 1024), (3, 256)])
def test_kernels_start_normal_with_the_variance_of_he(kernel, features):
    layer = conv(features, kernel, 1, jnp.float32, "conv")
    made = layer.init(jax.random.key(0), jnp.zeros((1, 4, 4, 64)))["params"]["kernel"]
    values = np.float64(made)
    np.testing.assert_allclose(values.var(), 2 / (kernel**2 * features), rtol=0.02)
    np.testing.assert_allclose(np.mean(values**4) / values.var() ** 2, 3.0, rtol=0.03)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("block", "kernels"), [(BasicBlock, (3, 3)), (Bottleneck, (1, 3, 1))], ids=["basic", "neck"]
)
def test_a_block_computes_what_the_paper_draws(block, kernels, stride):
    module = block(
        width=4, stride=stride, norm=BatchNorm, zero_init_residual=False, dtype="float32"
    )
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype(np.float32)
    variables = module.init(jax.random.key(0), jnp.asarray(x), train=True)
    y = module.apply(variables, jnp.asarray(x), train=False)

    params = jax.tree.map(np.float64, variables["params"])
    strided = kernels.index(3) + 1

    def layer(z, name, stride):
        return convolution(z, params[name]["kernel"], stride) / np.sqrt(1 + 1e-5)

    residual = x
    for index in range(1, len(kernels) + 1):
        residual = layer(residual, f"conv{index}", stride if index == strided else 1)
        if index < len(kernels):
            residual = np.maximum(residual, 0)
    shortcut = layer(x, "shortcut_conv", stride) if "shortcut_conv" in params else x
    assert ("shortcut_conv" in params) == (x.shape != y.shape)
    np.testing.assert_allclose(y, np.maximum(shortcut + residual, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_zero_init_starts_each_block_as_its_shortcut(block):
    module = block(width=4, stride=1, norm=BatchNorm, zero_init_residual=True, dtype="float32")
    channels = 4 if block is BasicBlock else 16
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, channels)), jnp.float32)
    variables = module.init(jax.random.key(0), x, train=True)
    np.testing.assert_array_equal(module.apply(variables, x, train=False), np.maximum(x, 0))


@pytest.mark.parametrize(
    ("block", "last"), [(BasicBlock, "norm2"), (Bottleneck, "norm3")], ids=["basic", "neck"]
)
@pytest.mark.parametrize("zero", [False, True])
def test_zero_init_is_of_the_last_norm_of_each_block_and_of_no_other(block, last, zero):
    starts = {}

    def watch(call, args, kwargs, context):
        if isinstance(context.module, BatchNorm) and context.method_name == "__call__":
            starts["/".join(context.module.path)] = context.module.scale_init
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        shapes(TINY(block, zero_init_residual=zero))
    actual = {path for path, init in starts.items() if init is nn.initializers.zeros}
    expected = {f"stage{stage}_block1/{last}" for stage in (1, 2, 3, 4)} if zero else set()
    assert actual == expected


def test_features_are_the_mean_of_the_last_stage():
    encoder = TINY(BasicBlock)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(1, 16, 16, 3)), jnp.float32)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(0.1 * rng.random(leaf.shape), jnp.float32), shapes(encoder)[1]
    )
    outputs = jax.jit(partial(encoder.apply, train=False))(variables, x)
    expected = np.float64(outputs["stage4"]).mean((1, 2))
    assert outputs["stage4"].shape == (1, 2, 2, 512)
    np.testing.assert_allclose(outputs["features"], expected, rtol=1e-5)


def test_the_average_over_places_is_taken_in_float32():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 32, 32, 3)) + 4, jnp.bfloat16)
    average = global_average(x)
    assert average.dtype == jnp.float32
    np.testing.assert_allclose(average, np.asarray(x, np.float64).mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, "bfloat16"])
def test_bfloat16_is_the_type_of_activations_alone(dtype):
    outputs, variables = shapes(build_encoder("resnet18", dtype=dtype))
    assert outputs.pop("features").dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {jnp.dtype("bfloat16")}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_the_norm_is_the_one_that_is_given():
    split = build_encoder("resnet18", norm=partial(BatchNorm, groups=3))
    variables = shapes(split, batch=6)[1]
    images = jax.ShapeDtypeStruct((8, 64, 64, 3), jnp.float32)
    run = partial(split.apply, train=True, mutable="batch_stats")
    with pytest.raises(ValueError, match="split into 3"):
        jax.eval_shape(run, variables, images)


@pytest.mark.parametrize(("stem", "least"), [("imagenet", 32), ("cifar", 8)])
def test_images_smaller_than_the_total_stride_are_refused(stem, least):
    encoder = build_encoder("resnet18", stem=stem)
    shapes(encoder, least)
    with pytest.raises(ValueError, match=f"do not fit a network of total stride {least}"):
        shapes(encoder, least - 1)


def test_an_unknown_stem_is_refused():
    with pytest.raises(ValueError, match="stem is 'mnist'"):
        shapes(build_encoder("resnet18", stem="mnist"))


def test_a_network_may_end_with_an_earlier_stage():
    whole, variables = shapes(build_encoder("resnet50"))
    outputs, fewer = shapes(build_encoder("resnet50", stages=3), 16)
    assert outputs.keys() == whole.keys() - {"stage4"}
    assert outputs["features"].shape == (2, 1024)
    kept = {path for path in variables["params"] if not path.startswith("stage4")}
    assert fewer["params"].keys() == kept
    for stages in (0, 5):
        with pytest.raises(ValueError, match=f"1 to 4 stages, not {stages}"):
            shapes(build_encoder("resnet50", stages=stages))
