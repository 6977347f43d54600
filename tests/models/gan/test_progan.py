"""ProGAN's networks: the published sizes, the layers in use at each, and mixtures of two sizes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import ProGANDiscriminator, ProGANGenerator
from ssljax.models.gan.progan import growing_sizes
from ssljax.ops.resampling import box_down, nearest_up

THIN = {"fmap_base": 32, "fmap_max": 8}
LATENTS = jax.random.normal(jax.random.key(1), (4, 6))
IMAGES = jax.random.uniform(jax.random.key(2), (4, 16, 16, 1), minval=-1.0)


def spec(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def parameters(network, inputs):
    made = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, False), inputs)
    assert set(made) == {"params"}
    return sum(leaf.size for leaf in jax.tree.leaves(made))


def conv(side, inputs, outputs):
    return side**2 * inputs * outputs + outputs


# Channels of 4, 8, ... pixels, from the finest map of the published networks on.
LARGE = (512, 512, 512, 512, 256, 128, 64, 32, 16)


def test_the_published_networks_have_23_million_parameters_each():
    pairs = list(itertools.pairwise(LARGE))
    generator = 512 * 16 * 512 + 512 + conv(3, 512, 512)
    generator += sum(conv(3, a, b) + conv(3, b, b) for a, b in pairs)
    generator += sum(conv(1, a, 3) for a in LARGE)
    assert generator == 23_079_115
    assert parameters(ProGANGenerator(1024), spec(1, 512)) == generator
    discriminator = conv(3, 513, 512) + conv(4, 512, 512) + conv(1, 512, 1)
    discriminator += sum(conv(3, b, b) + conv(3, b, a) for a, b in pairs)
    discriminator += sum(conv(1, 3, a) for a in LARGE)
    assert discriminator == 23_087_249
    assert parameters(ProGANDiscriminator(), spec(1, 1024, 1024, 3)) == discriminator


def test_the_networks_for_cifar10_have_128_channels_throughout():
    published = {"fmap_base": 4096, "fmap_max": 128}
    generator = 128 * 16 * 128 + 128 + 7 * conv(3, 128, 128) + 4 * conv(1, 128, 3)
    assert parameters(ProGANGenerator(32, **published), spec(1, 128)) == generator
    discriminator = conv(3, 129, 128) + conv(4, 128, 128) + conv(1, 128, 1)
    discriminator += 6 * conv(3, 128, 128) + 4 * conv(1, 3, 128)
    assert parameters(ProGANDiscriminator(**published), spec(1, 32, 32, 3)) == discriminator


def test_width_is_a_factor_on_all_hidden_layers():
    made = jax.eval_shape(
        lambda x: ProGANGenerator(8, width=1 / 64).init(jax.random.key(0), x, False), spec(1, 4)
    )
    assert {x.shape[-1] for x in jax.tree.leaves(made)} == {8, 128, 3}


@pytest.fixture(scope="module")
def weights():
    """Both networks for 16 pixels, initialised while 4 are in use."""
    generator = ProGANGenerator(16, 1, size=4, **THIN)
    made = jax.jit(lambda: generator.init(jax.random.key(0), LATENTS, False))()
    whole = jnp.zeros((1, 16, 16, 1))
    judge = jax.jit(lambda: ProGANDiscriminator(**THIN).init(jax.random.key(3), whole, False))()
    return made, judge


def test_the_layers_of_all_sizes_are_made_whatever_size_is_in_use(weights):
    large = jax.eval_shape(
        lambda: ProGANGenerator(16, 1, **THIN).init(jax.random.key(0), LATENTS, False)
    )
    assert jax.tree.structure(large) == jax.tree.structure(weights[0])
    assert {f"to_rgb{side}" for side in (4, 8, 16)} < set(weights[0]["params"])
    assert {f"from_rgb{side}" for side in (4, 8, 16)} < set(weights[1]["params"])


@pytest.mark.parametrize("size", [4, 8, 16])
def test_only_the_layers_in_use_have_a_gradient(weights, size):
    network = ProGANGenerator(16, 1, size=size, **THIN)
    assert network.apply(weights[0], LATENTS, True).shape == (4, size, size, 1)
    images = box_down(IMAGES, 16 // size)
    losses = {
        0: lambda x: jnp.sum(jnp.sin(network.apply(x, LATENTS, True))),
        1: lambda x: jnp.sum(ProGANDiscriminator(**THIN).apply(x, images, True)["logits"]),
    }
    for number, loss in losses.items():
        grads = jax.jit(jax.grad(loss))(weights[number])["params"]
        moved = {name for name, part in grads.items() if any(map(np.any, jax.tree.leaves(part)))}
        sides = {side for side in (4, 8, 16) if side <= size}
        convs = {f"conv{side}" for side in sides} | {
            f"conv{side}_{'down' if number else 'up'}" for side in sides - {4}
        }
        rgb = f"{'from' if number else 'to'}_rgb{size}"
        assert moved == convs | {"dense", rgb} | ({"logit"} if number else {"bias"})


def faded(variables, weight):
    return {**variables, "fade": {"weight": jnp.float32(weight)}}


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_a_fading_generator_mixes_its_images_with_enlarged_ones(weights, weight):
    made = weights[0]
    small = ProGANGenerator(16, 1, size=8, **THIN).apply(made, LATENTS, True)
    network = ProGANGenerator(16, 1, size=16, **THIN)
    large = network.apply(made, LATENTS, True)
    assert np.abs(large - nearest_up(small, 2)).max() > 0.1
    found = network.apply(faded(made, weight), LATENTS, True)
    expected = (1 - weight) * nearest_up(small, 2) + weight * large
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_fading_discriminator_goes_from_the_small_image_to_the_large_one(weights):
    judge = ProGANDiscriminator(**THIN)

    def logits(variables, images):
        return judge.apply(variables, images, True)["logits"]

    old, new = logits(weights[1], box_down(IMAGES, 2)), logits(weights[1], IMAGES)
    assert np.abs(old - new).max() > 0.1
    np.testing.assert_allclose(logits(faded(weights[1], 0.0), IMAGES), old, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits(faded(weights[1], 1.0), IMAGES), new, rtol=1e-4, atol=1e-5)
    half = logits(faded(weights[1], 0.5), IMAGES)
    assert np.abs(half - old).max() > 0.01
    assert np.abs(half - new).max() > 0.01


def test_in_training_a_score_knows_its_group_and_in_evaluation_itself_alone(weights):
    judge = ProGANDiscriminator(group_size=2, **THIN)
    changed = IMAGES.at[0].set(0.9)
    for train, known in ((True, [0, 1]), (False, [0])):
        before, after = (judge.apply(weights[1], x, train)["logits"] for x in (IMAGES, changed))
        assert np.flatnonzero(np.abs(after - before) > 1e-6).tolist() == known


def test_the_latent_vectors_length_has_no_effect(weights):
    network = ProGANGenerator(16, 1, size=8, **THIN)
    found = network.apply(weights[0], 7 * LATENTS, True)
    np.testing.assert_allclose(
        found, network.apply(weights[0], LATENTS, True), rtol=1e-4, atol=1e-5
    )


def test_blocks_keep_their_names_as_the_images_grow(weights):
    judge = ProGANDiscriminator(**THIN)
    for size, blocks in ((4, 1), (8, 2), (16, 3)):
        found = judge.apply(weights[1], box_down(IMAGES, 16 // size), False)
        shapes = {f"block{n}": (4, max(4, 2**n), max(4, 2**n)) for n in range(1, blocks + 1)}
        assert {name: x.shape[:3] for name, x in found.items() if "block" in name} == shapes
        assert found["features"].shape == (4, 8)


def test_sides_are_four_times_a_power_of_two():
    assert growing_sizes(4) == (4,)
    assert growing_sizes(64) == (4, 8, 16, 32, 64)
    for side, instead in ((28, 32), (2, 4), (48, 64), (20, 16)):
        with pytest.raises(ValueError, match=f"never {side}: set config.data.image_size={instead}"):
            growing_sizes(side)
