"""The maps of an encoder are known by their numbers, whatever the order of its outputs."""

import jax
import jax.numpy as jnp
import pytest

from ssljax.models import build_encoder, last_map, map_names


@pytest.mark.parametrize(
    ("encoder", "options", "last"),
    [
        ("resnet18", dict(stem="cifar"), "stage4"),
        ("nin", dict(blocks=10), "block10"),
        ("alexnet", dict(stem_stride=2), "conv5"),
        ("vit_mini", dict(depth=11), "block11"),
    ],
)
def test_the_last_map_is_the_deepest_in_the_order_of_the_alphabet_too(encoder, options, last):
    network = build_encoder(encoder, **options)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(
        lambda x: network.init_with_output(jax.random.key(0), x, False)[0], images
    )
    ordered = {name: jnp.zeros(shapes[name].shape) for name in sorted(shapes)}
    assert last_map(ordered) is ordered[last]
    assert map_names(ordered)[-1] == last
    numbers = [int(name.strip("abcdefghijklmnopqrstuvwxyz")) for name in map_names(ordered)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_an_encoder_without_maps_is_told():
    outputs = {"stage1": jnp.zeros((2, 3)), "features": jnp.zeros((2, 3))}
    with pytest.raises(ValueError, match=r"no maps of stages, .* among stage1, features"):
        last_map(outputs)
