"""Networks of translation: their published size, what a logit sees, and what does not fit."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import (
    DiscoGANDiscriminator,
    DiscoGANTranslator,
    PatchDiscriminator,
    ResidualTranslator,
    UNetTranslator,
)

KEYS = jax.random.split(jax.random.key(0))


def conv(size, inputs, outputs, bias=True):
    """Parameters of a convolution, either way."""
    return size**2 * inputs * outputs + outputs * bias


# By hand, from the layers. Before an instance norm there is a bias, before a batch norm none; a
# batch norm has two parameters a channel.
ENDS = conv(7, 3, 64) + conv(3, 64, 128) + conv(3, 128, 256)
ENDS += conv(3, 256, 128) + conv(3, 128, 64) + conv(7, 64, 3)
BLOCK = 2 * conv(3, 256, 256)
PATCH = conv(4, 3, 64) + conv(4, 64, 128) + conv(4, 128, 256) + conv(4, 256, 512) + conv(4, 512, 1)
PAIR = conv(4, 6, 64) + sum(conv(4, n, 2 * n, False) + 4 * n for n in (64, 128, 256))
PAIR += conv(4, 512, 1)
DOWN = [3, 64, 128, 256, 512, 512, 512, 512, 512]
UNET = sum(conv(4, a, b, False) for a, b in itertools.pairwise(DOWN))
UNET += conv(4, 512, 512, False) + 3 * conv(4, 1024, 512, False)
UNET += conv(4, 1024, 256, False) + conv(4, 512, 128, False) + conv(4, 256, 64, False)
UNET += conv(4, 128, 3) + 2 * (128 + 256 + 4 * 512) + 2 * (4 * 512 + 256 + 128 + 64)
HALF = sum(conv(4, a, b, False) for a, b in ((3, 64), (64, 128), (128, 256), (256, 512)))
DISCO = 2 * HALF + 2 * (128 + 256 + 512) + 2 * (256 + 128 + 64)
DISCO_JUDGE = HALF + 2 * (128 + 256 + 512) + conv(4, 512, 1, False)


@pytest.mark.parametrize(
    ("network", "shape", "by_hand", "published"),
    [
        # In millions, as the authors' code prints them; it says nothing of DiscoGAN.
        (ResidualTranslator(), (256, 256, 3), ENDS + 9 * BLOCK, 11.378),
        (ResidualTranslator(blocks=6), (128, 128, 3), ENDS + 6 * BLOCK, 7.838),
        (PatchDiscriminator(), (256, 256, 3), PATCH, 2.765),
        (PatchDiscriminator(norm="batch"), (256, 256, 6), PAIR, 2.769),
        (UNetTranslator(), (256, 256, 3), UNET, 54.414),
        (DiscoGANTranslator(), (64, 64, 3), DISCO, None),
        (DiscoGANDiscriminator(), (64, 64, 3), DISCO_JUDGE, None),
    ],
)
def test_the_number_of_parameters_is_the_published_one(network, shape, by_hand, published):
    made = jax.eval_shape(
        lambda: network.init(jax.random.key(0), jnp.zeros((1, *shape)), False)["params"]
    )
    count = sum(x.size for x in jax.tree.leaves(made))
    assert count == by_hand
    assert published is None or round(count / 1e6, 3) == published


@pytest.mark.parametrize(("layers", "side", "patch"), [(3, 96, 70), (2, 64, 34), (1, 32, 16)])
def test_a_logit_sees_a_patch(layers, side, patch):
    """By the gradient of one logit; with running statistics nothing else joins the places."""
    network = PatchDiscriminator(layers=layers, width=0.04, norm="batch")
    images = jax.random.normal(jax.random.key(1), (1, side, side, 1))
    variables = network.init(jax.random.key(0), images, False)

    def middle(images):
        logits = network.apply(variables, images, False)["logits"][0]
        return logits[logits.shape[0] // 2, logits.shape[1] // 2]

    seen = np.nonzero(np.asarray(jax.jit(jax.grad(middle))(images))[0, :, :, 0])
    assert [axis.max() - axis.min() + 1 for axis in seen] == [patch, patch]


def test_the_networks_have_the_shapes_of_the_papers():
    images = jnp.zeros((2, 256, 256, 3))

    def outputs(network, images):
        return jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), images, False)[0])

    judged = outputs(PatchDiscriminator(), images)
    sides = [judged[f"block{i}"].shape[1:] for i in (1, 2, 3, 4)]
    assert sides == [(128, 128, 64), (64, 64, 128), (32, 32, 256), (31, 31, 512)]
    assert (judged["logits"].shape, judged["features"].shape) == ((2, 30, 30), (2, 512))
    assert outputs(ResidualTranslator(), images).shape == images.shape
    assert outputs(UNetTranslator(), images).shape == images.shape
    small = images[:, :64, :64]
    judged = outputs(DiscoGANDiscriminator(), small)
    assert judged["block4"].shape == (2, 4, 4, 512)
    assert judged["logits"].shape == (2,)
    assert outputs(DiscoGANTranslator(), small).shape == small.shape


def test_the_unet_drops_in_three_layers_and_in_training_alone():
    network = UNetTranslator(width=0.04)
    images, keys = jnp.zeros((2, 32, 32, 1)), dict(zip(("params", "dropout"), KEYS, strict=True))
    dropped = []

    def count(next_function, arguments, keywords, context):
        found = next_function(*arguments, **keywords)
        if type(context.module).__name__ == "Dropout":
            dropped.append((found.shape[1], keywords["deterministic"]))
        return found

    with nn.intercept_methods(count):
        for train in (True, False):
            jax.eval_shape(lambda train=train: network.init(keys, images, train))
    assert dropped == [(side, off) for off in (False, True) for side in (2, 4, 8)]


@pytest.mark.parametrize(
    ("network", "side", "told"),
    [
        (ResidualTranslator(), 30, "sides that are multiples of 4, and these are 30x30"),
        (ResidualTranslator(norm="layer"), 32, "The norm is 'layer'; it must be one of instance"),
        (PatchDiscriminator(), 16, "needs images of at least 24 pixels, and these have 16x16"),
        (UNetTranslator(depth=4), 24, "4 times here, and these images are 24x24"),
        (UNetTranslator(), 30, "1 times here, and these images are 30x30"),
        (DiscoGANTranslator(), 18, "18x18 pixels do not halve"),
    ],
)
def test_images_that_do_not_fit_are_told(network, side, told):
    with pytest.raises(ValueError, match=told):
        jax.eval_shape(
            lambda: network.init(jax.random.key(0), jnp.zeros((1, side, side, 1)), False)
        )
