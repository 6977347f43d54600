"""BiGAN's networks: their parameters by hand, and where the code comes in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import JOINT_DISCRIMINATOR, InferenceEncoder, build_encoder, build_generator
from ssljax.models.registry import build


def judge(name, **options):
    return build("joint discriminator", JOINT_DISCRIMINATOR.networks, name, options)


def spec(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def shapes(network, inputs):
    """Outputs and number of parameters, without computing anything."""
    outputs, variables = jax.eval_shape(
        lambda x: network.init_with_output(jax.random.key(0), x, True), inputs
    )
    return outputs, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_the_perceptrons_for_mnist_have_the_authors_parameters():
    images, codes, pixels, units = spec(2, 28, 28, 1), spec(2, 50), 784, 1024
    outputs, count = shapes(InferenceEncoder(build_encoder("mlp"), 50), images)
    assert count == pixels * units + units * units + units * 50
    assert {key: outputs[key].shape for key in ("block1", "features", "linear", "code")} == {
        "block1": (2, 1, 1, 1024),
        "features": (2, 1024),
        "linear": (2, 50),
        "code": (2, 50),
    }
    made, count = shapes(build_generator("bigan_mlp"), codes)
    assert made.shape == images.shape
    # The code enters the second layer as well, and no norm has parameters.
    assert count == 50 * units + (units + 50) * units + units * pixels
    outputs, count = shapes(judge("bigan_mlp"), (images, codes))
    assert count == pixels * units + (units + 50) * units + units
    assert outputs["logits"].shape == (2,)


def test_the_networks_for_imagenet_have_the_parameters_that_a_hand_counts():
    images, codes = spec(2, 64, 64, 3), spec(2, 200)
    made, count = shapes(build_generator("bigan"), codes)
    assert made.shape == images.shape
    expected = 200 * 8192 + 2 * 8192  # A norm for each value of the first map.
    for inputs, outputs in ((512, 256), (256, 128), (128, 64)):
        expected += 25 * inputs * outputs + 200 * outputs + 2 * outputs
    assert count == expected + 25 * 64 * 3

    outputs, count = shapes(judge("bigan"), (images, codes))
    expected = 25 * 3 * 64
    for inputs, width in ((64, 128), (128, 256), (256, 512)):
        expected += 25 * inputs * width + 200 * width + 2 * width
    assert count == expected + 4 * 4 * 512
    assert outputs["features"].shape == (2, 8192)
    assert [outputs[f"block{i}"].shape[1] for i in (1, 2, 3, 4)] == [32, 16, 8, 4]

    # Smaller images have fewer convolutions, and a layer of 1024 units that the code enters too.
    small, count = shapes(judge("bigan"), (spec(2, 28, 28, 1), codes))
    dense = (7 * 7 * 128 + 200) * 1024 + 2 * 1024
    assert count == 25 * 64 + 25 * 64 * 128 + 200 * 128 + 2 * 128 + dense + 1024
    assert small["features"].shape == (2, 1024)

    widths = (96, 256, 384, 384, 256)
    encoder = InferenceEncoder(build_encoder("alexnet", widths=widths), 200)
    outputs, count = shapes(encoder, images)
    expected, inputs = 0, 3
    for kernel, width in zip((11, 5, 3, 3, 3), widths, strict=True):
        expected += kernel**2 * inputs * width + width + 2 * width
        inputs = width
    assert outputs["features"].shape == (2, 3 * 3 * 256)
    assert count == expected + 3 * 3 * 256 * 200


@pytest.mark.parametrize("name", ["bigan", "bigan_mlp"])
def test_a_judge_that_has_learnt_nothing_cannot_tell_and_then_sees_images_and_codes(name):
    network = judge(name, width=1 / 32)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(-1, 1, (4, 16, 16, 1)), jnp.float32)
    codes = jnp.asarray(rng.uniform(-1, 1, (4, 5)), jnp.float32)
    variables = network.init(jax.random.key(0), (images, codes), True)

    @jax.jit
    def logits(params, images, codes):
        now = variables | {"params": params}
        return network.apply(now, (images, codes), True, mutable=["batch_stats"])[0]["logits"]

    params = variables["params"]
    np.testing.assert_array_equal(logits(params, images, codes), np.zeros(4))
    kernel = params["logit"]["kernel"]
    params = params | {"logit": {"kernel": jnp.asarray(rng.normal(size=kernel.shape), jnp.float32)}}
    plain = logits(params, images, codes)
    # Another image or another code changes the logit.
    assert not np.allclose(plain, logits(params, images[::-1], codes), rtol=1e-3)
    assert not np.allclose(plain, logits(params, images, codes[::-1]), rtol=1e-3)


def test_codes_lie_where_uniform_ones_do_unless_they_are_gaussian():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8, 8, 1)), jnp.float32)
    encoder = build_encoder("mlp", widths=(4, 6))
    squashed, plain = (InferenceEncoder(encoder, 5, squash=squash) for squash in (True, False))
    variables = squashed.init(jax.random.key(0), images, False)
    kernel = 200 * variables["params"]["code"]["kernel"]
    variables["params"]["code"] = {"kernel": kernel}
    outputs = squashed.apply(variables, images, False)
    linear = np.asarray(outputs["features"], np.float64) @ np.asarray(kernel, np.float64)
    np.testing.assert_allclose(outputs["linear"], linear, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs["code"], 2 / (1 + np.exp(-linear)) - 1, rtol=1e-4, atol=1e-5)
    outputs = plain.apply(variables, images, False)
    np.testing.assert_allclose(outputs["code"], linear, rtol=1e-4, atol=1e-5)


def test_centred_features_leave_no_codes_that_all_move_alike():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(6, 8, 8, 1)), jnp.float32)
    network = InferenceEncoder(build_encoder("mlp", widths=(4, 7)), 5, centered=True)
    variables = network.init(jax.random.key(0), images, True)
    outputs, changed = network.apply(variables, images, True, mutable=["batch_stats"])
    features = np.asarray(outputs["features"], np.float64)
    centred = features - features.mean(axis=0)
    centred /= np.sqrt(features.var(axis=0) + 1e-5)
    expected = centred @ np.asarray(variables["params"]["code"]["kernel"], np.float64)
    np.testing.assert_allclose(outputs["linear"], expected, rtol=1e-3, atol=1e-5)
    # Evaluations take running statistics, and the norm has no parameters.
    running = changed["batch_stats"]["code_norm"]["mean"]
    np.testing.assert_allclose(running, 0.1 * features.mean(axis=0), rtol=1e-4, atol=1e-6)
    assert set(variables["params"]) == {"encoder", "code"}
