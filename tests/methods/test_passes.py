"""The pass of many crops: what goes through the networks together, and over what statistics are."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax import models
from ssljax.methods import passes
from ssljax.models.layers.spectral_norm import Dense

BATCH, WIDTH, DIM = 8, 8, 16
NETWORK = models.EncoderWithHeads(
    encoder=models.SmallConvNet(widths=(WIDTH,)),
    projector=models.ProjectionHead(hidden_dim=DIM, out_dim=DIM, last_batch_norm=False),
)


@pytest.fixture(scope="module")
def start():
    """The network's parameters and its other collections."""
    return jax.jit(lambda key: passes.init(NETWORK, key, (12, 12, 1)))(jax.random.key(0))


class Means(nn.Module):
    """An encoder and a head in one: the mean of each image, and twice what it is given."""

    def __call__(self, x, train):
        return {"features": jnp.mean(x, axis=(1, 2))} if x.ndim == 4 else [x, 2 * x]


def test_every_crop_keeps_its_place_and_its_images():
    values = np.random.default_rng(0).normal(size=(5, BATCH)).astype(np.float32)
    sizes = (12, 12, 8, 8, 8)
    crops = [
        jnp.asarray(np.broadcast_to(v[:, None, None, None], (BATCH, size, size, 1)))
        for v, size in zip(values, sizes, strict=True)
    ]
    outputs, _ = passes.forward_crops(models.EncoderWithHeads(Means(), Means()), {}, {}, crops)
    assert len(outputs) == 5
    for output, value in zip(outputs, values, strict=True):
        assert set(output) == {"features", "projector1", "projector2", "projection"}
        np.testing.assert_allclose(output["features"][:, 0], value, rtol=1e-5)
        np.testing.assert_allclose(output["projection"][:, 0], 2 * value, rtol=1e-5)


def test_one_encoder_pass_a_resolution_and_one_head_pass(start):
    calls = []

    def note(call, args, kwargs, context):
        if context.method_name == "__call__":
            calls.append((type(context.module), args[0].shape))
        return call(*args, **kwargs)

    crops = tuple(jnp.zeros((BATCH, size, size, 1)) for size in (12, 12, 8, 8, 8))
    with nn.intercept_methods(note):
        jax.eval_shape(
            lambda params, variables: passes.forward_crops(NETWORK, params, variables, crops),
            *start,
        )
    mine = [call for call in calls if call[0] in (models.SmallConvNet, models.ProjectionHead)]
    assert mine == [
        (models.SmallConvNet, (2 * BATCH, 12, 12, 1)),
        (models.SmallConvNet, (3 * BATCH, 8, 8, 1)),
        (models.ProjectionHead, (5 * BATCH, WIDTH)),
    ]


def test_batch_statistics_are_over_the_crops_of_a_size_and_the_heads_over_all(start):
    params, variables = start
    crops = [
        jax.random.uniform(jax.random.key(seed), (BATCH, size, size, 1))
        for seed, size in enumerate((12, 12, 8))
    ]
    outputs, after = jax.jit(lambda: passes.forward_crops(NETWORK, params, variables, crops))()
    features = np.stack([output["features"] for output in outputs])
    hidden = features @ np.asarray(params["projector"]["linear1"]["kernel"])
    mean = after["batch_stats"]["projector"]["norm1"]["mean"]
    np.testing.assert_allclose(mean, 0.1 * hidden.mean(axis=(0, 1)), rtol=1e-4, atol=1e-6)

    kernel = params["encoder"]["stem_conv"]["kernel"]
    running = np.zeros(8)
    for group in (crops[:2], crops[2:]):
        out = jax.lax.conv_general_dilated(
            jnp.concatenate(group), kernel, (2, 2), [(1, 1)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        running = 0.9 * running + 0.1 * np.mean(out, axis=(0, 1, 2))
    found = after["batch_stats"]["encoder"]["stem_norm"]["mean"]
    np.testing.assert_allclose(found, running, rtol=1e-4, atol=1e-6)


class Drops(nn.Module):
    """An encoder and a head in one that leaves out half of its inputs, whole rows at a time."""

    @nn.compact
    def __call__(self, x, train):
        if x.ndim == 2:
            return [x]
        dropped = nn.Dropout(0.5, broadcast_dims=(1, 2, 3), rng_collection="drop_path")
        return {"features": jnp.mean(dropped(x, deterministic=not train), axis=(1, 2))}


PASSES = {
    passes.forward_each: (12, 12),
    passes.forward_together: (12, 12),
    passes.forward_crops: (12, 12, 8, 8),
}


@pytest.mark.parametrize("forward", PASSES)
def test_every_view_of_an_image_drops_by_its_own_draw(forward):
    views = [jnp.ones((64, size, size, 1)) for size in PASSES[forward]]

    def kept(seed):
        network = models.EncoderWithHeads(Drops(), Drops())
        outputs, _ = forward(network, {}, {}, views, jax.random.key(seed))
        return np.stack([output["features"][:, 0] > 0 for output in outputs])

    first, again, other = map(kept, (0, 0, 1))
    np.testing.assert_array_equal(again, first)
    assert len({tuple(row) for row in (*first, *other)}) == 2 * len(views)
    assert 0.25 < first.mean() < 0.75


@pytest.mark.parametrize("forward", PASSES)
def test_eight_devices_drop_the_paths_that_one_drops(forward):
    vit = models.VisionTransformer(dim=8, depth=2, heads=1, patch_size=4, drop_path=0.5)
    network = models.EncoderWithHeads(vit, models.ProjectionHead(num_layers=1, out_dim=4))
    rng = np.random.default_rng(0)
    views = [jnp.asarray(rng.normal(size=(16, s, s, 1)), jnp.float32) for s in PASSES[forward]]
    params, variables = passes.init(network, jax.random.key(0), (12, 12, 1))
    passed = jax.jit(
        lambda views, key: forward(network, params, variables, views, key)[0][-1]["projection"]
    )
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = jax.device_put(views, NamedSharding(mesh, PartitionSpec("data")))
    alone, together, other = (
        passed(given, jax.random.key(seed)) for given, seed in ((views, 0), (split, 0), (views, 1))
    )
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    assert np.abs(other - alone).max() > 1e-2


def test_a_collection_that_is_held_does_not_change():
    network = Dense(5, spectral_norm=True)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, 7)), jnp.float32)
    variables = dict(network.init(jax.random.key(0), x, train=False))
    params = variables.pop("params")
    _, changed = passes.forward(network, params, variables, x)
    assert list(changed) == list(variables) == ["spectral"]
    assert np.any(changed["spectral"]["u"] != variables["spectral"]["u"])
    _, held = passes.forward(network, params, variables, x, held=("spectral",))
    assert held == {}
