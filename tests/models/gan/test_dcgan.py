"""DCGAN by its published sizes; only thin ones are ever run."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import DCGANDiscriminator, DCGANGenerator
from ssljax.models.gan.dcgan import halvings

THIN = 1 / 32


def spec(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def shapes(network, inputs):
    """Outputs and variables, without computing anything."""
    return jax.eval_shape(
        lambda x: network.init_with_output(jax.random.key(0), x, train=True), inputs
    )


def size(variables) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("side", "start", "channels"),
    [(28, 7, (256, 128)), (32, 4, (512, 256, 128)), (64, 4, (1024, 512, 256, 128))],
)
@pytest.mark.parametrize("colours", [1, 3])
def test_the_generator_has_the_published_layers(side, start, channels, colours):
    images, variables = shapes(DCGANGenerator(side, colours), spec(2, 100))
    assert (images.shape, images.dtype) == ((2, side, side, colours), jnp.float32)
    first = 100 * start * start * channels[0]
    kernels = 25 * sum(a * b for a, b in zip(channels, (*channels[1:], colours), strict=True))
    norms = 2 * sum(channels)
    assert size(variables) == first + kernels + norms + colours


@pytest.mark.parametrize(
    ("side", "channels", "last"),
    [(28, (128, 256), 7), (32, (128, 256, 512), 4), (64, (128, 256, 512, 1024), 4)],
)
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_the_discriminator_is_its_mirror_image(side, channels, last, norm):
    outputs, variables = shapes(DCGANDiscriminator(norm=norm), spec(2, side, side, 3))
    for number, features in enumerate(channels, start=1):
        places = side // 2**number
        assert outputs.pop(f"block{number}").shape == (2, places, places, features)
    dim = last * last * channels[-1]
    assert {name: value.shape for name, value in outputs.items()} == {
        "features": (2, dim),
        "logits": (2,),
    }
    kernels = 25 * sum(a * b for a, b in zip((3, *channels[:-1]), channels, strict=True))
    after = channels[0] + (1 if norm == "none" else 2) * sum(channels[1:])
    assert size(variables) == kernels + after + dim + 1
    assert ("batch_stats" in variables) == (norm == "batch")


def test_kernels_start_with_a_standard_deviation_of_002():
    latents, images = jnp.ones((2, 64)), jnp.ones((2, 28, 28, 1))
    for network, x in (
        (DCGANGenerator(28, 1, 1 / 4), latents),
        (DCGANDiscriminator(1 / 4), images),
    ):
        variables = jax.jit(lambda x, network=network: network.init(jax.random.key(0), x, True))(x)
        leaves = jax.tree_util.tree_leaves_with_path(variables["params"])
        kernels = [leaf for path, leaf in leaves if path[-1].key == "kernel"]
        assert len(kernels) == 3
        for kernel in kernels:
            values = np.float64(kernel).ravel()
            # Five standard errors of a mean and of a standard deviation.
            margin = 5 * 0.02 / math.sqrt(values.size)
            assert abs(values.mean()) < margin
            assert abs(values.std() - 0.02) < margin / math.sqrt(2)


def test_neither_the_last_layer_of_one_nor_the_first_of_the_other_is_normed():
    _, generator = shapes(DCGANGenerator(32), spec(2, 8))
    _, discriminator = shapes(DCGANDiscriminator(), spec(2, 32, 32, 3))
    assert set(generator["batch_stats"]) == {"norm0", "norm1", "norm2"}
    assert set(discriminator["batch_stats"]) == {"norm2", "norm3"}


def test_images_are_between_minus_one_and_one():
    generator = DCGANGenerator(28, 1, THIN)
    latents = 50 * jax.random.normal(jax.random.key(1), (8, 5))
    variables = generator.init(jax.random.key(0), latents, train=True)
    loud = jax.tree.map(lambda leaf: 50 * leaf, variables["params"])
    images, _ = generator.apply(
        variables | {"params": loud}, latents, train=True, mutable="batch_stats"
    )
    assert np.abs(images).max() <= 1
    assert np.min(images) < -0.9 < 0.9 < np.max(images)


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_no_image_sees_another_without_batch_norm(norm):
    discriminator = DCGANDiscriminator(THIN, norm, num_rotations=4)
    images = jax.random.uniform(jax.random.key(1), (4, 16, 16, 3), minval=-1.0)
    variables = discriminator.init(jax.random.key(0), images, train=True)
    together = discriminator.apply(variables, images, train=True)
    alone = discriminator.apply(variables, images[2:3], train=True)
    for name, output in alone.items():
        np.testing.assert_allclose(output[0], together[name][2], rtol=1e-4, atol=1e-6)


def test_the_activation_is_a_leaky_relu_of_slope_02():
    discriminator = DCGANDiscriminator(THIN, "none")
    images = jax.random.uniform(jax.random.key(1), (2, 8, 8, 3), minval=-1.0)
    variables = discriminator.init(jax.random.key(0), images, train=True)
    block = discriminator.apply(variables, images, train=False)["block1"]
    flipped = jax.tree.map(jnp.negative, variables["params"]["conv1"])
    params = variables["params"] | {"conv1": flipped}
    mirrored = discriminator.apply({"params": params}, images, train=False)["block1"]
    positive = np.asarray(block) > 0
    np.testing.assert_allclose(mirrored[positive], -0.2 * block[positive], rtol=1e-5)
    np.testing.assert_allclose(block[~positive], -0.2 * mirrored[~positive], rtol=1e-5)


@pytest.mark.parametrize(
    ("image", "expected"), [(8, (4, 1)), (28, (7, 2)), (32, (4, 3)), (48, (3, 4)), (64, (4, 4))]
)
def test_sides_halve_to_a_small_one(image, expected):
    assert halvings(image) == expected


@pytest.mark.parametrize("image", [4, 7, 27, 44, 62])
def test_sides_that_do_not_halve_are_refused(image):
    with pytest.raises(ValueError, match=f"Images of {image}x{image} pixels do not halve"):
        halvings(image)


def test_an_unknown_norm_is_refused():
    with pytest.raises(
        ValueError, match="norm is 'instance'; it must be one of batch, layer, none"
    ):
        shapes(DCGANDiscriminator(norm="instance"), spec(2, 28, 28, 1))
    with pytest.raises(ValueError, match="norm is 'layer'; it must be one of batch, conditional"):
        shapes(DCGANGenerator(28, 1, norm="layer"), spec(2, 8))
