"""Whole views: what they promise whatever the policy, the batch and the devices."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from PIL import Image

from ssljax.augment import (
    ViewPolicy,
    augment_view,
    center_view,
    example_keys,
    make_views,
    normalize,
    random_affine,
    simclr,
    to_float,
    to_tanh_range,
)

EVERYTHING = ViewPolicy(
    size=20,
    crop_scale=(0.2, 1.0),
    interpolation="bicubic",
    brightness=0.8,
    contrast=0.8,
    saturation=0.8,
    hue=0.2,
    gray_p=0.2,
    blur_p=0.5,
    solarize_p=0.3,
)
SHIFTED = ViewPolicy(size=24, crop_scale=None, crop_padding=4, brightness=0.4)
NOTHING = ViewPolicy(size=24, crop_scale=None, flip_p=0.0)

augment = jax.jit(augment_view, static_argnums=0)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (16, 24, 24, 3), dtype=np.uint8)


@pytest.fixture
def key():
    return jax.random.key(7)


def test_bytes_become_fractions():
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    got = to_float(image)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, image.astype(np.float64) / 255, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int8])
def test_only_bytes_are_made_views_of(images, key, dtype):
    """Of floats in [0, 1] a view would be black but for rounding, without a word."""
    wrong = (images / 255.0).astype(dtype)
    for make in (
        lambda: augment_view(NOTHING, key, wrong),
        lambda: make_views(key, {"image": wrong}, [(NOTHING, 2)]),
        lambda: center_view(NOTHING, wrong),
        lambda: to_tanh_range(wrong),
    ):
        with pytest.raises(ValueError, match=rf"uint8.* {np.dtype(dtype)}.*255 \* images"):
            make()


def test_normalize_is_per_channel():
    x = np.random.default_rng(0).random((2, 3, 3, 2))
    got = normalize(jnp.asarray(x, jnp.float32), (0.1, 0.5), (0.2, 0.4))
    expected = (x - np.array([0.1, 0.5])) / np.array([0.2, 0.4])
    np.testing.assert_allclose(got, expected, atol=1e-5)
    one_for_all = normalize(jnp.asarray(x, jnp.float32), (0.5,), (0.4,))
    np.testing.assert_allclose(one_for_all, (x - 0.5) / 0.4, atol=1e-5)
    with pytest.raises(ValueError, match="3 channels"):
        normalize(jnp.zeros((1, 1, 1, 3)), (0.5, 0.5), (0.5, 0.5))
    with pytest.raises(ValueError, match="positive"):
        normalize(jnp.zeros((1, 1, 1, 1)), (0.5,), (0.0,))


def test_a_policy_with_everything_off_changes_nothing(images, key):
    np.testing.assert_array_equal(augment(NOTHING, key, images), to_float(images))
    np.testing.assert_array_equal(center_view(NOTHING, images), to_float(images))
    trace = jax.make_jaxpr(augment_view, static_argnums=0)
    assert "random_bits" in str(trace(SHIFTED, key, images))
    assert "random_bits" not in str(trace(NOTHING, key, images))


def test_compiled_and_eager_agree(images, key):
    got = augment(EVERYTHING, key, images)
    np.testing.assert_allclose(got, augment_view(EVERYTHING, key, images), atol=1e-5)


@pytest.mark.parametrize("policy", [EVERYTHING, SHIFTED])
def test_an_example_depends_on_the_key_its_place_and_itself_alone(policy, images, key):
    whole = np.asarray(augment(policy, key, images))
    np.testing.assert_allclose(augment(policy, key, images[:5]), whole[:5], atol=1e-6)
    others = images.copy()
    others[np.arange(16) != 3] = 255 - others[np.arange(16) != 3]
    np.testing.assert_array_equal(augment(policy, key, others)[3], whole[3])
    same = augment(policy, key, np.repeat(images[:1], 16, axis=0))
    assert len(np.unique(np.asarray(same).reshape(16, -1), axis=0)) > 12


@pytest.mark.parametrize("policy", [EVERYTHING, SHIFTED, simclr(8)])
def test_views_lie_in_the_unit_interval(policy, images, key):
    views = augment(policy, key, images)
    assert views.shape == (16, policy.size, policy.size, 3)
    assert views.dtype == jnp.float32
    assert views.min() >= 0.0
    assert views.max() <= 1.0


def test_grey_images_are_augmented_too(images, key):
    views = augment(EVERYTHING, key, images[..., :1])
    assert views.shape == (16, 20, 20, 1)
    assert np.unique(np.asarray(views)[:, 10, 10, 0]).size > 8


def test_normalisation_comes_last(images, key):
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    policy = ViewPolicy(20, crop_scale=None, mean=mean, std=std)
    plain = augment(dataclasses.replace(policy, mean=None, std=None), key, images)
    np.testing.assert_allclose(
        augment(policy, key, images), (np.asarray(plain) - mean) / std, atol=1e-5
    )
    np.testing.assert_allclose(
        center_view(dataclasses.replace(NOTHING, mean=mean, std=std), images),
        (images / 255 - mean) / std,
        atol=1e-5,
    )


def test_switching_one_operation_leaves_the_draws_of_the_others(images, key):
    base = ViewPolicy(20, brightness=0.8, contrast=0.8)
    inverted = dataclasses.replace(base, solarize_p=1.0, solarize_threshold=0.0)
    plain = np.asarray(augment(base, key, images))
    np.testing.assert_allclose(augment(inverted, key, images), 1 - plain, atol=1e-5)
    gray = np.asarray(augment(dataclasses.replace(base, gray_p=1.0), key, images))
    np.testing.assert_allclose(gray[..., 0], plain @ [0.2989, 0.587, 0.114], atol=1e-5)


def test_make_views_makes_each_view_with_its_own_key(images, key):
    large, local = ViewPolicy(20), ViewPolicy(8, crop_scale=(0.05, 0.14))
    views = jax.jit(lambda k, x: make_views(k, {"image": x}, [(large, 1), (local, 2)]))(key, images)
    assert [view.shape[1] for view in views] == [20, 8, 8]
    for i, view in enumerate(views):
        policy = large if i == 0 else local
        expected = augment(policy, jax.random.fold_in(key, i), images)
        np.testing.assert_allclose(view, expected, atol=1e-5)
    assert not np.allclose(views[1], views[2], atol=0.05)


def test_the_evaluation_view_is_resized_and_cut_as_pillow_does():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    got = jax.jit(center_view, static_argnums=0)(ViewPolicy(size=28), image[None])
    resized = Image.fromarray(image).resize((48, 32), Image.Resampling.BILINEAR)
    expected = np.asarray(resized)[2:30, 10:38]
    np.testing.assert_allclose(255 * got[0], expected, atol=1.5)


@pytest.mark.parametrize(("side", "seen"), [(20, 20), (28, 28), (30, 28), (32, 28), (64, 56)])
def test_the_evaluation_view_leaves_an_eighth_out_where_it_can(side, seen):
    """What is to be seen has a grey rim, of 3 pixels in the view; outside of it all is white."""
    image = np.full((1, side, side, 1), 255, np.uint8)
    edge, rim = (side - seen) // 2, round(3 * seen / 28)
    image[:, edge : side - edge, edge : side - edge] = 128
    image[:, edge + rim : side - edge - rim, edge + rim : side - edge - rim] = 0
    view = np.asarray(center_view(ViewPolicy(size=28), image))[0, :, :, 0]
    # Where the image is shrunk or enlarged, a pixel has part of its neighbours.
    for side_of_rim in (view[1, 4:-4], view[-2, 4:-4], view[4:-4, 1], view[4:-4, -2]):
        np.testing.assert_allclose(side_of_rim, 128 / 255, atol=0.02)
    assert view.max() < 0.7
    assert view[5:-5, 5:-5].max() < 0.01


# Without XLA's fusions, as tests are compiled elsewhere, one value in 20,000 is off by 1.25e-6.
FUSED = {"xla_cpu_use_fusion_emitters": True} if jax.__version_info__ < (0, 11) else {}


def sharded_over_devices():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))


@pytest.mark.parametrize("name", ["everything", "shifted", "affine"])
def test_eight_devices_make_the_views_of_one_without_talking(name, images, key):
    def view(key, images):
        if name == "affine":
            keys = example_keys(key, images.shape[0])
            return random_affine(keys, to_float(images), 30.0, (0.1, 0.1), (0.8, 1.2))
        return augment_view({"everything": EVERYTHING, "shifted": SHIFTED}[name], key, images)

    whole, split = sharded_over_devices()
    step = jax.jit(view, in_shardings=(whole, split), out_shardings=split)
    program = step.lower(key, images).compile(compiler_options=FUSED)
    moves = r"all-reduce|all-gather|all-to-all|reduce-scatter|collective-(permute|broadcast)"
    assert not re.search(moves, program.as_text())
    sharded = program(jax.device_put(key, whole), jax.device_put(images, split))
    assert sharded.sharding.is_equivalent_to(split, 4)
    alone = jax.jit(view, compiler_options=FUSED)(key, images)
    np.testing.assert_allclose(sharded, alone, atol=1e-6)


def test_views_compile_for_accelerators(images, key):
    program = jax.export.export(
        jax.jit(lambda k, x: augment_view(EVERYTHING, jax.random.wrap_key_data(k), x)),
        platforms=("tpu", "cuda"),
    )(jax.random.key_data(key), images)
    assert program.platforms == ("tpu", "cuda")
    assert program.out_avals[0].shape == (16, 20, 20, 3)


def test_what_the_host_has_cropped_is_not_cropped_again():
    policy = dataclasses.replace(simclr(8), mean=(0.5,), std=(0.5,))
    crops = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 8, 3), np.uint8)
    key = jax.random.key(0)
    views = make_views(key, {"crop0": crops[0], "crop1": crops[1]}, [(policy, 2)])
    uncropped = dataclasses.replace(policy, crop_scale=None)
    for i, view in enumerate(views):
        expected = augment_view(uncropped, jax.random.fold_in(key, i), crops[i])
        np.testing.assert_array_equal(view, expected)
    with pytest.raises(ValueError, match="crops of view 0 are"):
        make_views(key, {"crop0": crops[0, :, :7]}, [(policy, 1)])
