"""The network of colorization has the authors' layers."""

import jax
import jax.numpy as jnp
import pytest

from ssljax.models import ColorizationVGG

CHANNELS = (64, 128, 256, 512, 512, 512, 512)
CONVS = (2, 2, 3, 3, 3, 3, 3)


def test_shapes_and_parameters_are_those_of_the_released_network():
    net = ColorizationVGG()
    outputs, variables = jax.eval_shape(
        lambda x: net.init_with_output(jax.random.key(0), x, train=True),
        jax.ShapeDtypeStruct((2, 176, 176, 1), jnp.float32),
    )
    sides = (88, 44, 22, 22, 22, 22, 22)
    assert {name: x.shape for name, x in outputs.items()} == {
        f"stage{stage}": (2, side, side, channels)
        for stage, (side, channels) in enumerate(zip(sides, CHANNELS, strict=True), start=1)
    } | {"features": (2, 512)}
    count, before = 0, 1
    for channels, convs in zip(CHANNELS, CONVS, strict=True):
        for _ in range(convs):
            count += 9 * before * channels + channels
            before = channels
    # Kernels and biases; the norms have neither scale nor offset.
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == count
    assert set(variables["batch_stats"]) == {f"stage{stage}_norm" for stage in range(1, 8)}


@pytest.mark.parametrize(("stage", "seen"), [(3, 37), (4, 85), (5, 181)])
def test_a_place_sees_as_far_as_strides_and_dilations_reach(stage, seen):
    net = ColorizationVGG(width=1 / 64)
    image = jnp.ones((1, 208, 208, 1))
    variables = net.init(jax.random.key(0), image, train=False)
    # Nothing is cut off by a ReLU.
    variables["params"] = jax.tree.map(lambda x: jnp.ones_like(x) / 64, variables["params"])

    def center(image):
        activations = net.apply(variables, image, train=False)[f"stage{stage}"]
        middle = activations.shape[1] // 2
        return jnp.sum(activations[0, middle, middle])

    slope = jax.jit(jax.grad(center))(image)
    assert int(jnp.sum(jnp.any(slope[0, :, :, 0] > 0, axis=1))) == seen
