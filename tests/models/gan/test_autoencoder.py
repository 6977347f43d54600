"""EBGAN's autoencoders and its multi-layer perceptrons."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import AutoencoderDiscriminator, MLPAutoencoder, MLPGenerator


def shapes(network, *shape: int):
    """Outputs and variables, without computing anything."""
    return jax.eval_shape(
        lambda x: network.init_with_output(jax.random.key(0), x, train=True),
        jax.ShapeDtypeStruct(shape, jnp.float32),
    )


def size(variables) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("side", "channels", "least"),
    [(28, (64, 128), 7), (32, (64, 128, 256), 4), (64, (64, 128, 256), 8)],
)
@pytest.mark.parametrize("colours", [1, 3])
def test_the_autoencoder_has_the_published_layers(side, channels, least, colours):
    outputs, variables = shapes(AutoencoderDiscriminator(), 2, side, side, colours)
    for number, features in enumerate(channels, start=1):
        places = side // 2**number
        assert outputs.pop(f"block{number}").shape == (2, places, places, features)
    dim = least * least * channels[-1]
    assert {name: value.shape for name, value in outputs.items()} == {
        "code": (2, dim),
        "features": (2, dim),
        "reconstruction": (2, side, side, colours),
    }
    kernels = 16 * sum(a * b for a, b in zip((colours, *channels), channels, strict=False))
    norms = 2 * sum(channels[1:]) + 2 * sum(channels[:-1])
    assert size(variables) == 2 * kernels + norms + channels[0] + colours


def test_the_perceptrons_have_the_published_layers():
    outputs, variables = shapes(MLPAutoencoder(), 2, 28, 28, 1)
    assert outputs["code"].shape == outputs["features"].shape == (2, 1024)
    assert outputs["reconstruction"].shape == (2, 28, 28, 1)
    assert size(variables) == 785 * 1024 + 1025 * 784
    images, variables = shapes(MLPGenerator(), 2, 50)
    assert images.shape == (2, 28, 28, 1)
    assert size(variables) == 50 * 800 + 3 * 800**2 + 4 * 2 * 800 + 801 * 784


@pytest.mark.parametrize(
    "network",
    [AutoencoderDiscriminator(1 / 16, "none"), MLPAutoencoder(6)],
    ids=["convolutional", "perceptron"],
)
def test_the_code_is_all_that_the_decoder_sees_and_no_image_sees_another(network):
    images = jax.random.uniform(jax.random.key(1), (3, 8, 8, 1), minval=-1.0)
    images = images.at[1].set(images[0])
    variables = network.init(jax.random.key(0), images, train=True)
    loud = jax.tree.map(lambda leaf: 20 * leaf, variables["params"])
    outputs = network.apply({"params": loud}, images, train=True)
    for output in outputs.values():
        np.testing.assert_allclose(output[0], output[1], rtol=1e-5, atol=1e-6)
        assert np.abs(output[0] - output[2]).max() > 1e-3
    assert np.abs(outputs["reconstruction"]).max() <= 1
    np.testing.assert_array_equal(outputs["code"], outputs["features"])


def test_the_perceptron_is_its_formula():
    network = MLPAutoencoder(6)
    images = jax.random.uniform(jax.random.key(1), (3, 4, 4, 1), minval=-1.0)
    variables = network.init(jax.random.key(0), images, train=True)
    outputs = network.apply(variables, images, train=True)
    layers = jax.tree.map(np.float64, variables["params"])
    x = np.float64(images).reshape(3, 16)
    code = np.maximum(x @ layers["encoder"]["kernel"] + layers["encoder"]["bias"], 0)
    np.testing.assert_allclose(outputs["code"], code, rtol=1e-4, atol=1e-6)
    y = np.tanh(code @ layers["decoder"]["kernel"] + layers["decoder"]["bias"])
    np.testing.assert_allclose(outputs["reconstruction"], y.reshape(3, 4, 4, 1), rtol=1e-4)


def test_the_norms_leave_out_the_first_layer_and_the_last():
    _, variables = shapes(AutoencoderDiscriminator(), 2, 32, 32, 3)
    assert set(variables["batch_stats"]) == {"norm2", "norm3", "deconv_norm1", "deconv_norm2"}
    _, variables = shapes(MLPGenerator(layers=3), 2, 5)
    assert set(variables["batch_stats"]) == {"norm1", "norm2"}
