"""Vision transformers: sizes of the papers, invariances, and what moves between devices."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax import models
from ssljax.models.encoders.vit import VisionTransformer

Tiny = partial(VisionTransformer, dim=16, depth=2, heads=2, patch_size=4)


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(1), (8, 12, 8, 3))


def parameters(network, images, seed=0):
    """Parameters of which none is 0 or 1, made without compiling the initialisers."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(partial(network.init, train=False), jax.random.key(0), images)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.float32(
            0.2 * rng.standard_normal(leaf.shape) + (path[-1].key == "scale")
        ),
        shapes,
    )


@pytest.fixture(scope="module")
def variables(images):
    return parameters(Tiny(), images)


@partial(jax.jit, static_argnames=("network", "attention"))
def evaluate(network, variables, x, attention=False, visible=None):
    return network.apply(variables, x, train=False, attention=attention, visible=visible)


def count(network, size):
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    shapes = jax.eval_shape(partial(network.init, train=False), jax.random.key(0), images)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("vit_tiny", {"patch_size": 16}, 5_524_416),
        ("vit_small", {"patch_size": 16}, 21_665_664),
        ("vit_small", {"patch_size": 16, "heads": 12}, 21_665_664),
        ("vit_small", {"patch_size": 8}, 21_670_272),
        ("vit_base", {"patch_size": 16}, 85_798_656),
        ("vit_large", {"patch_size": 16}, 303_301_632),
    ],
)
def test_parameters_are_as_many_as_in_deit_and_dino(name, options, parameters):
    assert count(models.build_encoder(name, **options), 224) == parameters


@pytest.mark.parametrize("name", ["vit_tiny", "vit_small", "vit_base", "vit_large"])
@pytest.mark.parametrize("patch_size", [4, 8, 16])
def test_every_size_takes_every_patch(name, patch_size):
    network = models.build_encoder(name, patch_size=patch_size)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    outputs, _ = jax.eval_shape(
        partial(network.init_with_output, train=False), jax.random.key(0), images
    )
    side = 32 // patch_size
    assert outputs["block12"].shape == (1, side, side, network.dim)


def test_fixed_positions_are_no_parameters():
    learned, fixed = Tiny(), Tiny(positions="sincos")
    assert count(learned, 16) - count(fixed, 16) == 16 * (4 * 4 + 1)


def test_outputs(images, variables):
    outputs = evaluate(Tiny(), variables, images, attention=True)
    shapes = {name: value.shape for name, value in outputs.items()}
    assert shapes == {
        "block1": (8, 3, 2, 16),
        "block2": (8, 3, 2, 16),
        "tokens": (8, 3, 2, 16),
        "features": (8, 16),
        "attention": (8, 2, 7, 7),
    }
    np.testing.assert_allclose(np.sum(outputs["attention"], -1), 1.0, atol=1e-5)
    assert "attention" not in evaluate(Tiny(), variables, images)


def test_tokens_are_the_last_block_normalised(images, variables):
    outputs = evaluate(Tiny(), variables, images)
    block = np.asarray(outputs["block2"], np.float64)
    centred = block - block.mean(-1, keepdims=True)
    normed = centred / np.sqrt(np.mean(centred**2, -1, keepdims=True) + 1e-6)
    norm = jax.tree.map(np.asarray, variables["params"]["norm"])
    expected = normed * norm["scale"] + norm["bias"]
    np.testing.assert_allclose(outputs["tokens"], expected, atol=1e-4)


def test_mean_pool_is_the_mean_of_the_tokens(images, variables):
    outputs = evaluate(Tiny(pool="mean"), variables, images)
    expected = np.mean(outputs["tokens"], axis=(1, 2))
    np.testing.assert_allclose(outputs["features"], expected, atol=1e-6)


def test_without_positions_the_order_of_patches_is_of_no_account(images, variables):
    params = variables["params"]
    nowhere = jax.tree.map(jnp.zeros_like, params["position_embedding"])
    blind = {"params": params | {"position_embedding": nowhere}}
    swapped = jnp.concatenate([images[:, 8:], images[:, :8]], axis=1)
    one, other = evaluate(Tiny(), blind, images), evaluate(Tiny(), blind, swapped)
    np.testing.assert_allclose(other["features"], one["features"], atol=1e-5)
    np.testing.assert_allclose(other["tokens"], np.roll(one["tokens"], 1, axis=1), atol=1e-5)
    here, there = evaluate(Tiny(), variables, images), evaluate(Tiny(), variables, swapped)
    assert np.abs(here["features"] - there["features"]).max() > 1e-3


def test_features_of_an_example_do_not_depend_on_the_others(images, variables):
    whole = evaluate(Tiny(), variables, images)["features"]
    np.testing.assert_allclose(
        evaluate(Tiny(), variables, images[2:4])["features"], whole[2:4], atol=1e-5
    )


@pytest.mark.parametrize("positions", ["learned", "sincos"])
def test_crops_of_other_sizes_share_the_parameters(images, positions):
    network = Tiny(positions=positions)
    variables = parameters(network, images)
    outputs = evaluate(network, variables, images[:2, :8])
    assert outputs["tokens"].shape == (2, 2, 2, 16)
    assert np.all(np.isfinite(outputs["features"]))


def test_smaller_crop_sees_the_interpolated_table(images, variables):
    """Giving the interpolated table outright must change nothing."""
    params = variables["params"]
    table = params["position_embedding"]["table"]
    smaller = jax.image.resize(table, (2, 2, 16), "cubic", antialias=False)
    given = {"params": params | {"position_embedding": {"table": smaller}}}
    crops = images[:, :8]
    np.testing.assert_allclose(
        evaluate(Tiny(), variables, crops)["features"],
        evaluate(Tiny(), given, crops)["features"],
        atol=1e-5,
    )


@partial(jax.jit, static_argnames="network")
def gradients(network, variables, images):
    target = jax.random.normal(jax.random.key(3), (images.shape[0], 16))

    def loss(params):
        outputs = network.apply({"params": params}, images, train=False)
        return jnp.mean(jnp.square(outputs["features"] - target))

    return jax.grad(loss)(variables["params"])


def test_frozen_patch_embedding_alone_gets_no_gradient(images):
    network = Tiny(depth=1)
    variables = parameters(network, images)
    free = gradients(network, variables, images)
    frozen = gradients(network.clone(freeze_patch_embedding=True), variables, images)
    assert np.any(np.asarray(free["patch_embedding"]["kernel"]))
    for leaf in jax.tree.leaves(frozen.pop("patch_embedding")):
        np.testing.assert_array_equal(leaf, 0)
    free.pop("patch_embedding")
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), frozen, free)


@pytest.mark.parametrize(
    ("initializer", "limit"), [("xavier", math.sqrt(6 / (48 + 64))), ("normal", 48**-0.5)]
)
def test_patch_embedding_starts_uniform(initializer, limit):
    network = VisionTransformer(
        dim=64, depth=1, heads=1, patch_size=4, positions="sincos", initializer=initializer
    )

    # XLA drops the initialisation of what is not returned.
    @jax.jit
    def patch_embedding(key):
        return network.init(key, jnp.zeros((1, 4, 4, 3)), train=False)["params"]["patch_embedding"]

    params = patch_embedding(jax.random.key(0))
    kernel = np.asarray(params["kernel"])
    assert kernel.shape == (48, 64)
    assert 0.98 * limit < np.abs(kernel).max() <= limit
    np.testing.assert_allclose(kernel.std(), limit / math.sqrt(3), rtol=0.05)
    np.testing.assert_array_equal(params["bias"], 0)


def test_patch_embedding_is_a_strided_convolution(images, variables):
    """The tokens of a network whose blocks add nothing are patch embedding plus position."""
    params = variables["params"]
    idle = params | {
        name: jax.tree.map(jnp.zeros_like, params[name]) for name in ("block1", "block2")
    }
    kernel = params["patch_embedding"]["kernel"].reshape(4, 4, 3, 16)
    expected = jax.lax.conv_general_dilated(
        images, kernel, (4, 4), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    bias, table = params["patch_embedding"]["bias"], params["position_embedding"]["table"]
    expected += bias[None, None, None] + table[None]
    outputs = evaluate(Tiny(), {"params": idle}, images)
    np.testing.assert_allclose(outputs["block2"], expected, atol=1e-5)


def test_all_patches_visible_in_any_order_is_the_whole_network(images, variables):
    order = jnp.broadcast_to(jnp.array([4, 1, 0, 5, 2, 3]), (8, 6))
    whole = evaluate(Tiny(), variables, images)
    seen = evaluate(Tiny(), variables, images, visible=order)
    assert seen.keys() == {"features", "tokens", "class_token"}
    np.testing.assert_allclose(seen["features"], whole["features"], atol=1e-5)
    expected = whole["tokens"].reshape(8, 6, 16)[:, order[0]]
    np.testing.assert_allclose(seen["tokens"], expected, atol=1e-5)


def test_registers_are_seen_by_the_patches_and_are_in_no_map(images):
    network = Tiny(registers=3)
    variables = parameters(network, images)
    assert variables["params"]["registers"].shape == (1, 3, 16)
    outputs = evaluate(network, variables, images, attention=True)
    assert outputs["attention"].shape == (8, 2, 10, 10)
    assert outputs["tokens"].shape == outputs["block1"].shape == (8, 3, 2, 16)
    # They stand after the class token, and have no positions: their order is of no account.
    order = np.array([2, 0, 1])
    params = variables["params"]
    turned = {"params": params | {"registers": params["registers"][:, order]}}
    other = evaluate(network, turned, images, attention=True)
    places = np.array([0, *(1 + order), *range(4, 10)])
    expected = outputs["attention"][:, :, places][..., places]
    np.testing.assert_allclose(other["attention"], expected, atol=1e-6)
    np.testing.assert_allclose(other["features"], outputs["features"], atol=1e-5)
    moved = {"params": params | {"registers": 2 * params["registers"][..., ::-1]}}
    changes = np.abs(evaluate(network, moved, images)["block1"] - outputs["block1"])
    assert np.all(changes.max(axis=-1) > 1e-4)


def test_a_masked_patch_is_a_token_in_its_place(images, variables):
    """What is in the patch is not seen; the token takes the place of its embedding."""
    hidden = jnp.zeros((8, 6), bool).at[:, 1].set(True)
    token = jnp.linspace(-1.0, 1.0, 16)

    @jax.jit
    def see(images, hidden, visible=None):
        return Tiny().apply(variables, images, train=False, visible=visible, masked=(hidden, token))

    seen, changed = see(images, hidden), see(images.at[:, :4, 4:].add(1.0), hidden)
    np.testing.assert_array_equal(changed["tokens"], seen["tokens"])
    # A kernel of zeros with the token as its bias makes every patch such a token.
    params = variables["params"]
    flat = {"kernel": jnp.zeros((48, 16)), "bias": token}
    everywhere = evaluate(Tiny(), {"params": params | {"patch_embedding": flat}}, images)
    np.testing.assert_allclose(
        see(images, jnp.ones((8, 6), bool))["tokens"], everywhere["tokens"], atol=1e-5
    )
    order = jnp.broadcast_to(jnp.array([4, 1, 0, 5, 2, 3]), (8, 6))
    some = see(images, hidden, order)["tokens"]
    np.testing.assert_allclose(some, seen["tokens"].reshape(8, 6, 16)[:, order[0]], atol=1e-5)


def test_without_a_class_token_patches_see_each_other_alone(images):
    network = Tiny(class_token=False, pool="mean")
    variables = parameters(network, images)
    assert not {"class_token", "class_position"} & set(variables["params"])
    outputs = evaluate(network, variables, images, attention=True)
    assert outputs["attention"].shape == (8, 2, 6, 6)
    np.testing.assert_allclose(
        outputs["features"], np.mean(outputs["tokens"], axis=(1, 2)), atol=1e-6
    )
    seen = evaluate(network, variables, images, visible=jnp.array([[0, 5]] * 8))
    assert set(seen) == {"features", "tokens"}


@pytest.mark.parametrize("pool", ["class", "mean"])
def test_patches_that_fill_up_are_as_if_they_were_not(images, variables, pool):
    network = Tiny(pool=pool, registers=0)
    places = jnp.array([[5, 0, 3, 1]] * 8)
    present = jnp.array([[True, True, False, False]] * 8)

    @jax.jit
    def see(visible, present):
        return network.apply(variables, images, train=False, visible=visible, present=present)

    filled, bare = see(places, present), see(places[:, :2], None)
    np.testing.assert_allclose(filled["features"], bare["features"], atol=1e-5)
    np.testing.assert_allclose(filled["tokens"][:, :2], bare["tokens"], atol=1e-5)


def test_bfloat16_is_close_to_float32(images, variables):
    exact = evaluate(Tiny(), variables, images)
    rough = evaluate(Tiny(dtype=jnp.bfloat16), variables, images, attention=True)
    assert rough["block1"].dtype == rough["tokens"].dtype == jnp.bfloat16
    assert rough["features"].dtype == rough["attention"].dtype == jnp.float32
    np.testing.assert_allclose(rough["features"], exact["features"], atol=0.1)
    shallow = Tiny(depth=1, dtype=jnp.bfloat16)
    grads = gradients(shallow, parameters(shallow, images), images)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))


def test_drop_path_grows_from_none_in_the_first_block(images, variables):
    network = Tiny(drop_path=0.9)
    train = jax.jit(partial(network.apply, train=True))
    one = train(variables, images, rngs={"drop_path": jax.random.key(1)})
    other = train(variables, images, rngs={"drop_path": jax.random.key(2)})
    np.testing.assert_array_equal(one["block1"], other["block1"])
    assert np.any(np.asarray(one["block2"] != other["block2"]))


def test_drop_path_may_be_the_same_in_all_blocks(images, variables):
    network = Tiny(drop_path=0.9, drop_path_uniform=True)
    train = jax.jit(partial(network.apply, train=True))
    one, other = (train(variables, images, rngs={"drop_path": jax.random.key(i)}) for i in (1, 2))
    assert np.any(np.asarray(one["block1"] != other["block1"]))


def test_eight_devices_compute_what_one_does(images, variables):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    network = Tiny(drop_path=0.5)

    @jax.jit
    def loss_and_gradient(params, images, key):
        def loss(params):
            outputs = network.apply({"params": params}, images, train=True, rngs={"drop_path": key})
            # The batch's mean makes every example's gradient depend on the others.
            return jnp.mean(jnp.square(jnp.mean(outputs["features"] ** 2, axis=0)))

        return jax.value_and_grad(loss)(params)

    params, key = variables["params"], jax.random.key(4)
    single = loss_and_gradient(params, images, key)
    sharded = loss_and_gradient(*jax.device_put((params, images, key), (whole, split, whole)))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), sharded, single)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": "none"}, "positions is 'none'; it must be 'learned' or 'sincos'"),
        ({"initializer": "he"}, "initializer is 'he'"),
        ({"pool": "max"}, "pool is 'max'"),
        ({"depth": 0}, "0 blocks"),
        ({"class_token": False}, "Without a class token, pool must be 'mean'"),
    ],
)
def test_impossible_attributes_are_told(images, options, message, monkeypatch):
    # Outside the tests nobody checks types before the network does.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    network = Tiny(**options)
    with pytest.raises(ValueError, match=message):
        network.init(jax.random.key(0), images[:1], train=False)


def test_patches_that_do_not_fill_the_image_are_told(images):
    with pytest.raises(ValueError, match="12x8 pixels cannot be cut into patches of 5x5"):
        Tiny(patch_size=5).init(jax.random.key(0), images[:1], train=False)
