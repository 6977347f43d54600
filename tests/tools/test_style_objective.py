"""The losses of an image are weighed alike, whatever network tells them."""

import dataclasses
import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.optimizers.minimize import Minimizer, lbfgs
from ssljax.tools.style_networks import StyleNetwork
from ssljax.tools.style_objective import (
    CONTENT_SCALE,
    STYLE_SCALE,
    Weights,
    constants,
    objective,
    with_photorealism,
)


def _maps(gain, image):
    """Two layers: the image, and means over squares of four of its pixels."""
    squares = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, 3)
    return {"fine": gain * image, "coarse": gain * jnp.mean(squares, axis=(1, 3))}


@pytest.fixture(name="network")
def _network():
    return StyleNetwork("a network", _maps, jnp.float32(1), ("coarse",), ("fine", "coarse"))


@pytest.fixture(name="images", scope="module")
def _images():
    rng = np.random.default_rng(0)
    shapes = (8, 6, 3), (4, 10, 3)
    return [jnp.asarray(rng.uniform(0, 255, shape), jnp.float32) for shape in shapes]


@pytest.fixture(name="segments", scope="module")
def _segments():
    rng = np.random.default_rng(1)
    return tuple(jnp.asarray(rng.uniform(size=s), jnp.float32) for s in ((2, 8, 6), (2, 4, 10)))


@pytest.mark.parametrize("masked", [False, True])
def test_what_is_missing_counts_as_much_as_in_the_published_network(
    network, images, segments, masked
):
    of = constants(network, *images, segments if masked else None)
    _, parts = objective(network, Weights(), jnp.zeros((8, 6, 3)), of)
    np.testing.assert_allclose(parts["content"], 5 * CONTENT_SCALE, rtol=1e-5)
    np.testing.assert_allclose(parts["style"], 100 * 2 * STYLE_SCALE, rtol=1e-5)
    np.testing.assert_allclose(parts["variation"], 0, atol=1e-6)


@pytest.mark.parametrize("published", [False, True])
def test_the_size_of_activations_counts_in_the_published_network_alone(network, images, published):
    network = dataclasses.replace(network, published=published)
    rng = np.random.default_rng(2)
    image = jnp.asarray(rng.uniform(0, 255, (8, 6, 3)), jnp.float32)
    found = []
    for gain in (1.0, 3.0):
        scaled = dataclasses.replace(network, weights=jnp.float32(gain))
        found.append(objective(scaled, Weights(), image, constants(scaled, *images))[1])
    for name, power in (("content", 2), ("style", 4), ("variation", 0)):
        ratio = 3.0**power if published else 1.0
        np.testing.assert_allclose(found[1][name], ratio * found[0][name], rtol=1e-4)


def test_the_content_itself_has_its_style_left_to_gain(network, images):
    content, style = images
    of = with_photorealism(constants(network, content, style), content)
    weights = Weights(photorealism=1e4)
    loss, parts = jax.jit(lambda image: objective(network, weights, image, of))(content)
    np.testing.assert_allclose(parts["content"], 0, atol=1e-3)
    np.testing.assert_allclose(parts["photorealism"], 0, atol=0.1)
    np.testing.assert_allclose(loss, sum(parts.values()), rtol=1e-6)
    assert float(parts["style"]) > 0
    same = objective(network, weights, content, constants(network, content, content))[1]
    np.testing.assert_allclose(same["style"], 0, atol=1e-3)


def test_steps_on_an_accelerator_are_one_program(network, images, segments):
    of = with_photorealism(constants(network, *images, segments), images[0])
    loss = functools.partial(objective, network, Weights(photorealism=1.0))
    minimizer = Minimizer(loss, lbfgs(3), in_loop=True)
    block = jax.jit(functools.partial(minimizer.run, count=5))
    jax.export.export(block, platforms=("tpu", "cuda"))(minimizer.start(images[0]), of)
