"""BigGAN's generator and BigBiGAN's judge: parameters by hand, parts of the code, three scores."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import JOINT_DISCRIMINATOR, GaussianEncoder, build_encoder, build_generator
from ssljax.models.gan.biggan import SelfAttention
from ssljax.models.layers.residual_mlp import ResidualMLP
from ssljax.models.registry import build


def judge(**options):
    return build("joint discriminator", JOINT_DISCRIMINATOR.networks, "bigbigan", options)


def spec(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def shapes(network, inputs):
    """Outputs and number of parameters, without computing anything."""
    outputs, variables = jax.eval_shape(
        lambda x: network.init_with_output(jax.random.key(0), x, True), inputs
    )
    return outputs, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def conv(side: int, inputs: int, outputs: int) -> int:
    return side * side * inputs * outputs + outputs


def attention(channels: int) -> int:
    """Queries and keys of an eighth, values of half of the channels, the output, and the factor."""
    return channels * (2 * channels // 8 + channels // 2) + channels // 2 * channels + 1


def test_the_generator_of_128_pixels_has_biggans_layers_and_splits_its_code():
    images, count = shapes(build_generator("biggan"), spec(2, 120))
    assert images.shape == (2, 128, 128, 3)
    channels = [96 * multiple for multiple in (16, 16, 8, 4, 2, 1)]
    expected = 20 * 16 * channels[0] + 16 * channels[0]  # Six parts of 20 values.
    for inputs, outputs in itertools.pairwise(channels):
        expected += 2 * 20 * (inputs + outputs)  # Scales and biases, by layers without bias.
        expected += conv(3, inputs, outputs) + conv(3, outputs, outputs) + conv(1, inputs, outputs)
    expected += attention(192) + 2 * 96 + conv(3, 96, 3)
    assert count == expected


def test_the_judge_of_128_pixels_has_biggans_layers_and_two_perceptrons():
    outputs, count = shapes(judge(), (spec(2, 128, 128, 3), spec(2, 120)))
    assert (outputs["scores"].shape, outputs["features"].shape) == ((2, 3), (2, 1536))
    assert [outputs[f"block{i}"].shape[1] for i in range(1, 7)] == [64, 32, 16, 8, 4, 4]
    channels = [3, 96, 192, 384, 768, 1536, 1536]
    expected = attention(96)
    for number, (inputs, width) in enumerate(itertools.pairwise(channels)):
        expected += conv(3, inputs, width) + conv(3, width, width)
        expected += conv(1, inputs, width) if number < 5 else 0  # The last one has no shortcut.
    units = 2048
    for inputs in (120, 1536 + units):
        expected += inputs * units + units + inputs * units  # With the first block's shortcut.
        expected += 7 * (units * units + units)
    assert count == expected + (1536 + 1) + 2 * (units + 1)


def test_parts_of_the_code_reach_the_layers_that_they_belong_to():
    network = build_generator("biggan", image_size=16, image_channels=1, width=1 / 96)
    latents = jnp.asarray(np.random.default_rng(0).normal(size=(3, 7)), jnp.float32)
    variables = network.init(jax.random.key(0), latents, True)

    @jax.jit
    def run(latents):
        return network.apply(
            variables,
            latents,
            True,
            capture_intermediates=True,
            mutable=["intermediates", "batch_stats"],
        )[1]["intermediates"]

    plain = run(latents)
    # Of seven values the first map has three, and each of two blocks has two.
    for part, changed in (
        (0, ["dense", "block1", "block2"]),
        (3, ["block1", "block2"]),
        (5, ["block2"]),
    ):
        other = run(latents.at[:, part].add(1.0))
        moved = [
            name
            for name in ("dense", "block1", "block2")
            if not np.allclose(plain[name]["__call__"][0], other[name]["__call__"][0], rtol=1e-4)
        ]
        assert moved == changed
    with pytest.raises(ValueError, match="3 parts, and there are 2 values"):
        network.init(jax.random.key(0), latents[:, :2], True)


def test_each_score_is_of_its_own_inputs():
    network = judge(width=1 / 96, units=4 * 96, blocks=2)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(-1, 1, (4, 8, 8, 1)), jnp.float32)
    codes = jnp.asarray(rng.normal(size=(4, 5)), jnp.float32)
    variables = network.init(jax.random.key(0), (images, codes), False)
    run = jax.jit(lambda *pair: network.apply(variables, pair, False)["scores"])
    plain, image, code = run(images, codes), run(-images, codes), run(images, -codes)
    for other, moved in ((image, (True, False, True)), (code, (False, True, True))):
        assert [not np.allclose(plain[:, i], other[:, i], rtol=1e-4) for i in range(3)] == [*moved]


def test_attention_starts_as_nothing_and_looks_everywhere():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 8)), jnp.float32)
    network = SelfAttention(jnp.float32)
    variables = network.init(jax.random.key(0), x, False)
    np.testing.assert_array_equal(network.apply(variables, x, False), x)
    variables["params"]["factor"] = jnp.float32(1.0)
    seen = network.apply(variables, x, False)
    moved = network.apply(variables, x.at[:, 0, 0].add(3.0), False) - seen
    assert np.abs(np.asarray(moved)[:, 3, 3]).max() > 1e-4


def test_a_perceptron_passes_its_inputs_by():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)
    network = ResidualMLP(4, 2)
    variables = network.init(jax.random.key(0), x, False)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 4 * (16 + 4)
    nothing = jax.tree.map(jnp.zeros_like, variables)
    np.testing.assert_array_equal(network.apply(nothing, x, False), np.maximum(x, 0))


def test_the_encoder_gives_a_gaussian_and_both_signs_of_its_features():
    network = GaussianEncoder(build_encoder("small", widths=(4, 6)), 5, head_dim=8)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8, 8, 1)), jnp.float32)
    variables = network.init(jax.random.key(0), images, False)
    outputs, changed = network.apply(variables, images, True, mutable=["batch_stats"])
    assert outputs["code"].shape == outputs["deviation"].shape == (4, 5)
    assert np.all(np.asarray(outputs["deviation"]) > 0)
    features = np.asarray(outputs["features"], np.float64)
    normed = (features - features.mean(axis=0)) / np.sqrt(features.var(axis=0) + 1e-5)
    expected = np.concatenate([np.maximum(normed, 0), np.maximum(-normed, 0)], axis=1)
    np.testing.assert_allclose(outputs["crelu"], expected, rtol=1e-3, atol=1e-4)
    assert "crelu_norm" in changed["batch_stats"]
    outputs = jax.eval_shape(
        lambda x: GaussianEncoder(build_encoder("resnet50"), 120).init_with_output(
            jax.random.key(0), x, False
        )[0],
        spec(2, 256, 256, 3),
    )
    sizes = {key: outputs[key].shape[1] for key in ("features", "crelu", "code", "deviation")}
    assert sizes == {"features": 2048, "crelu": 4096, "code": 120, "deviation": 120}
