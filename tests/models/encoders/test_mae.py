"""The masked autoencoder: what is hidden stays hidden, and what is seen is all that costs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax.losses import masked_patch_mse
from ssljax.models.encoders.mae import MaskedAutoencoder, random_masking
from ssljax.models.encoders.vit import VisionTransformer
from ssljax.models.layers.patches import patchify, unpatchify

KEY = jax.random.key(7)
ENCODER = VisionTransformer(
    dim=16, depth=1, heads=2, patch_size=4, positions="sincos", initializer="xavier"
)
NETWORK = MaskedAutoencoder(ENCODER, decoder_dim=8, decoder_depth=1, decoder_heads=2)


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(1), (8, 16, 16, 3))


@pytest.fixture(scope="module")
def variables(images):
    """Parameters of which none is 0 or 1, made without compiling the initialisers."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(partial(NETWORK.init, train=False), jax.random.key(0), images, KEY)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.float32(
            0.2 * rng.standard_normal(leaf.shape) + (path[-1].key == "scale")
        ),
        shapes,
    )


@partial(jax.jit, static_argnames="network")
def reconstruct(variables, images, key=KEY, network=NETWORK):
    return network.apply(variables, images, key, train=True)


@pytest.mark.parametrize(
    ("patches", "ratio", "hidden"),
    [(196, 0.75, 147), (49, 0.75, 37), (49, 0.7, 35), (11, 0.9, 10), (64, 0.5, 32)],
)
def test_every_example_hides_exactly_the_ratio(patches, ratio, hidden):
    masking = random_masking(KEY, 5, patches, ratio)
    np.testing.assert_array_equal(np.sum(masking.mask, axis=1), hidden)
    assert masking.visible.shape == (5, patches - hidden)


def test_masking_is_consistent():
    masking = jax.tree.map(np.asarray, random_masking(KEY, 6, 12, 0.75))
    for visible, restore, mask in zip(*masking, strict=True):
        assert set(visible) == set(np.flatnonzero(~mask))
        assert sorted(restore) == list(range(12))
        np.testing.assert_array_equal(restore[visible], np.arange(3))
    assert len({tuple(mask) for mask in masking.mask}) > 1


def test_every_patch_is_hidden_equally_often():
    share = np.mean(random_masking(KEY, 4096, 8, 0.75).mask, axis=0)
    np.testing.assert_allclose(share, 0.75, atol=4 * np.sqrt(0.75 * 0.25 / 4096))


def test_masking_of_an_example_does_not_depend_on_the_size_of_the_batch():
    small, large = random_masking(KEY, 3, 12, 0.5), random_masking(KEY, 9, 12, 0.5)
    np.testing.assert_array_equal(small.restore, large.restore[:3])


@pytest.mark.parametrize("ratio", [0.0, 0.95, 1.0])
def test_hiding_all_or_nothing_is_told(ratio):
    with pytest.raises(ValueError, match="of 8 patches visible"):
        random_masking(KEY, 2, 8, ratio)


def test_default_decoder_is_the_papers():
    """MAE with ViT-B/16 has 111,655,680 learned parameters, as its official code counts them."""
    network = MaskedAutoencoder(
        VisionTransformer(dim=768, heads=12, positions="sincos", initializer="xavier")
    )
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    shapes = jax.eval_shape(partial(network.init, train=False), jax.random.key(0), image, KEY)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 111_655_680


def test_outputs(images, variables):
    outputs = reconstruct(variables, images)
    assert {name: value.shape for name, value in outputs.items()} == {
        "prediction": (8, 16, 48),
        "mask": (8, 16),
        "features": (8, 16),
    }
    assert outputs["mask"].dtype == bool
    np.testing.assert_array_equal(outputs["mask"], random_masking(KEY, 8, 16, 0.75).mask)


def test_hidden_pixels_influence_nothing(images, variables):
    before = reconstruct(variables, images)
    patches = patchify(images, 4)
    noise = jax.random.normal(jax.random.key(9), patches.shape)
    other = unpatchify(jnp.where(before["mask"][:, :, None], noise, patches), (4, 4), 4)
    after = reconstruct(variables, other)
    np.testing.assert_array_equal(after["prediction"], before["prediction"])
    np.testing.assert_array_equal(after["features"], before["features"])


def test_every_visible_patch_influences_every_prediction(images, variables):
    mask = reconstruct(variables, images)["mask"]

    def prediction(pixels):
        return NETWORK.apply(variables, pixels, KEY, train=False)["prediction"]

    slope = jax.jit(jax.jacrev(lambda image: jnp.sum(prediction(image)[0], axis=1)))(images[:1])
    by_patch = patchify(jnp.abs(slope).reshape(16, 16, 16, 3), 4).sum(-1)
    np.testing.assert_array_equal(by_patch > 0, np.tile(~mask[:1], (16, 1)))


def test_hidden_patches_differ_by_their_position(images, variables):
    """All hidden patches share one mask token: what tells them apart is the position."""
    outputs = reconstruct(variables, images)
    hidden = np.asarray(outputs["prediction"])[0][np.asarray(outputs["mask"])[0]]
    assert np.ptp(hidden, axis=0).max() > 1e-3


def test_encoder_costs_what_the_visible_patches_cost(images, variables):
    def flops(**options):
        encode = jax.jit(partial(ENCODER.apply, train=False))
        encoder = {"params": variables["params"]["encoder"]}
        return encode.lower(encoder, images, **options).compile().cost_analysis()["flops"]

    quarter = flops(visible=random_masking(KEY, 8, 16, 0.75).visible)
    # 5 of 17 tokens, the class token among them.
    assert quarter < 0.31 * flops()


def test_encoders_parameters_are_a_vision_transformers(images, variables):
    alone = jax.eval_shape(partial(ENCODER.init, train=False), jax.random.key(0), images[:1])
    encoder = {"params": variables["params"]["encoder"]}
    assert jax.tree.map(jnp.shape, encoder) == jax.tree.map(jnp.shape, alone)
    everything = jnp.broadcast_to(jnp.arange(16), (8, 16))
    encode = jax.jit(partial(ENCODER.apply, train=False))
    whole, seen = encode(encoder, images), encode(encoder, images, visible=everything)
    np.testing.assert_allclose(whole["features"], seen["features"], atol=1e-5)


def test_mean_pooled_encoder_decodes_alike(images, variables):
    pooled = NETWORK.clone(encoder=ENCODER.clone(pool="mean"))
    outputs = reconstruct(variables, images, network=pooled)
    expected = reconstruct(variables, images)["prediction"]
    np.testing.assert_allclose(outputs["prediction"], expected, atol=1e-5)


@partial(jax.jit, static_argnames="network")
def loss_and_gradient(variables, images, key, network=NETWORK):
    def loss(params):
        outputs = network.apply({"params": params}, images, key, train=True)
        return masked_patch_mse(outputs["prediction"], patchify(images, 4), outputs["mask"])

    return jax.value_and_grad(loss)(variables["params"])


def test_bfloat16_is_close_to_float32(images, variables):
    rough = NETWORK.clone(encoder=ENCODER.clone(dtype=jnp.bfloat16))
    outputs = reconstruct(variables, images, network=rough)
    assert outputs["prediction"].dtype == outputs["features"].dtype == jnp.float32
    exact = reconstruct(variables, images)["prediction"]
    np.testing.assert_allclose(outputs["prediction"], exact, atol=0.03 * np.abs(exact).max())


def test_eight_devices_compute_what_one_does(images, variables):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    single = loss_and_gradient(variables, images, KEY)
    placed = jax.device_put((variables, images, KEY), (whole, split, whole))
    sharded = loss_and_gradient(*placed)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), sharded, single)


def test_forward_pass_moves_nothing_between_devices(images, variables):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    placed = jax.device_put((variables, images, KEY), (whole, split, whole))
    program = jax.jit(partial(NETWORK.apply, train=True), out_shardings=split)
    text = program.lower(*placed).compile().as_text()
    assert not [name for name in ("all-gather", "all-to-all", "permute(") if name in text]
