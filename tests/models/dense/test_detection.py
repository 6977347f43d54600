"""The feature pyramid and FCOS's head: what they read, what they start as, and where places lie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import DetectionNet, FCOSHead, FeaturePyramid, build_encoder, told_by
from ssljax.models.dense.pyramid import level_strides, read_maps


def shapes(network, *arguments):
    return jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), *arguments))


def encoded(name, side, **options):
    images = jnp.zeros((1, side, side, 3))
    return shapes(build_encoder(name, **options), images, False)[0]


def test_what_is_read_of_each_encoder():
    whole = encoded("resnet50", 224)
    assert read_maps(whole, 224, 8) == ["stage2", "stage3", "stage4"]
    assert read_maps(whole, 224, 4) == ["stage1", "stage2", "stage3", "stage4"]
    assert read_maps(encoded("resnet50", 100), 100, 8) == ["stage2", "stage3", "stage4"]
    # A transformer's blocks are of one size, of which the last is read, as are dilated stages.
    assert read_maps(encoded("vit_tiny", 224, patch_size=16), 224, 8) == ["block12"]
    assert read_maps(encoded("resnet18", 64, output_stride=8), 64, 8) == ["stage4"]
    with pytest.raises(ValueError, match=r"no map of images of 64 .* lower config.model.pyramid"):
        read_maps(encoded("resnet18", 64, stem="cifar"), 64, 16)


def test_strides_are_those_of_padded_halvings():
    assert level_strides(800, [100, 50, 25, 13, 7]) == [8, 16, 32, 64, 128]
    assert level_strides(160, [20, 10, 5, 3, 2]) == [8, 16, 32, 64, 128]
    assert level_strides(100, [13, 7, 4]) == [8, 16, 32]
    # AlexNet's convolutions are not padded.
    found = level_strides(224, [27, 13, 7])
    assert found == pytest.approx([224 / 27, 224 / 13, 2 * 224 / 13])


def test_the_pyramid_adds_what_coarser_maps_know():
    rng = np.random.default_rng(0)
    fine, coarse = rng.normal(size=(1, 5, 5, 2)), rng.normal(size=(1, 3, 3, 3))
    outputs = {
        "features": jnp.zeros((1, 3)),
        "stage1": jnp.asarray(fine, jnp.float32),
        "stage2": jnp.asarray(coarse, jnp.float32),
    }
    network = FeaturePyramid(channels=2, finest=8, levels=4)
    params = network.init(jax.random.key(0), outputs, 40)["params"]
    # Of the 3x3 convolutions the middle alone is left, as the identity.
    middle = np.zeros((3, 3, 2, 2), np.float32)
    middle[1, 1] = np.eye(2)
    for name in params:
        if not name.endswith("lateral"):
            params[name]["kernel"] = jnp.asarray(middle)
    found = network.apply({"params": params}, outputs, 40)
    assert [x.shape[1] for x in found] == [5, 3, 2, 1]
    top = coarse @ np.asarray(params["stage2_lateral"]["kernel"])[0, 0]
    enlarged = top.repeat(2, axis=1).repeat(2, axis=2)[:, :5, :5]
    bottom = fine @ np.asarray(params["stage1_lateral"]["kernel"])[0, 0] + enlarged
    expected = [bottom, top, top[:, ::2, ::2], np.maximum(top[:, ::2, ::2], 0)[:, ::2, ::2]]
    for x, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, wanted, rtol=1e-4, atol=1e-5)
    one = FeaturePyramid(channels=2, finest=8, levels=1)
    assert [x.shape for x in shapes(one, outputs, 40)[0]] == [(1, 5, 5, 2)]


def test_the_published_head_has_towers_that_all_levels_share():
    maps = [jnp.zeros((1, side, side, 256)) for side in (100, 50, 25, 13, 7)]
    told, variables = shapes(FCOSHead(80), maps, False)
    assert [x.shape for x in told] == [(1, len(x[0]), len(x[0]), 85) for x in maps]
    tower = 4 * (9 * 256 * 256 + 256 + 2 * 256)
    last = 9 * 256 * (80 + 4 + 1) + 85
    assert sum(x.size for x in jax.tree.leaves(variables)) == 2 * tower + last + 5


def test_the_head_starts_with_rare_classes_and_boxes_of_two_strides():
    rng = np.random.default_rng(0)
    maps = [jnp.asarray(rng.normal(size=(2, s, s, 16)), jnp.float32) for s in (8, 4)]
    told, variables = jax.jit(FCOSHead(3, convs=1, groups=4).init_with_output, static_argnums=2)(
        jax.random.key(0), maps, False
    )
    for x in told:
        likely = jax.nn.sigmoid(x[..., :3])
        np.testing.assert_allclose(likely, 0.01, atol=0.01)
        np.testing.assert_allclose(x[..., 3:7], 1.0, atol=0.5)
    # The factor of a level moves the distances of that level alone.
    scales = variables["params"]["scales"]
    changed = variables["params"] | {"scales": scales.at[1].set(3.0)}
    again = FCOSHead(3, convs=1, groups=4).apply({"params": changed}, maps, False)
    np.testing.assert_allclose(again[0], told[0], atol=1e-6)
    np.testing.assert_allclose(again[1][..., 3:7], told[1][..., 3:7] ** 3, rtol=1e-4)
    with pytest.raises(
        ValueError, match=r"5 groups do not divide .* 16 channels: set config.model"
    ):
        FCOSHead(3, groups=5).init(jax.random.key(0), maps, False)


def test_what_is_told_lies_in_the_order_of_its_places():
    network = DetectionNet(
        build_encoder("small", widths=(4, 8), stem_stride=4),
        FeaturePyramid(channels=8, finest=4, levels=3),
        FCOSHead(2, convs=0, groups=4),
    )
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 24, 24, 3)), jnp.float32)
    outputs, _ = jax.jit(network.init_with_output, static_argnums=2)(
        jax.random.key(0), images, False
    )
    told = told_by(outputs, 24)
    assert told.classes.shape == (2, 36 + 9 + 4, 2)
    assert sorted(set(told.strides.tolist())) == [4, 8, 16]
    np.testing.assert_array_equal(told.levels, np.repeat([0, 1, 2], [36, 9, 4]))
    # The second place of the second row of the second map.
    place = 36 + 3 + 1
    np.testing.assert_array_equal(told.places[place], [12, 12])
    row = outputs["objects2"][0, 1, 1]
    np.testing.assert_allclose(told.classes[0, place], row[:2])
    np.testing.assert_allclose(told.distances[0, place], 8 * row[2:6], rtol=1e-6)
    np.testing.assert_allclose(told.center_ness[0, place], row[6])
