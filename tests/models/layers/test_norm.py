"""Norms against float64 NumPy and against Flax; batch norm whole and in groups."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax.models import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, NoNorm, build_encoder


def activations(*shape: int) -> np.ndarray:
    """Values whose mean and spread differ from example to example."""
    rng = np.random.default_rng(0)
    offset = rng.normal(size=(shape[0],) + (1,) * (len(shape) - 1))
    return (2 * rng.normal(size=shape) + 3 * offset + 1).astype(np.float32)


def variables(channels: int, seed: int = 1):
    rng = np.random.default_rng(seed)
    vectors = rng.uniform(0.5, 1.5, size=(4, channels)).astype(np.float32)
    scale, bias, mean, var = map(jnp.asarray, vectors)
    return {"params": {"scale": scale, "bias": bias}, "batch_stats": {"mean": mean, "var": var}}


def reference(x: np.ndarray, groups: int, start) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Output and running statistics in float64, group by group."""
    x = x.astype(np.float64)
    y = np.empty_like(x)
    axes = tuple(range(x.ndim - 1))
    means, variances = [], []
    for group in range(groups):
        part = x[group::groups]
        mean, var = part.mean(axes), part.var(axes)
        y[group::groups] = (part - mean) / np.sqrt(var + 1e-5)
        means.append(mean)
        variances.append(var)
    y = y * np.float64(start["params"]["scale"]) + np.float64(start["params"]["bias"])
    running = [
        0.9 * np.float64(start["batch_stats"][name]) + 0.1 * np.mean(values, axis=0)
        for name, values in (("mean", means), ("var", variances))
    ]
    return y, *running


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("shape", [(8, 5), (8, 3, 2, 5)])
def test_training_normalises_each_group_by_its_own_statistics(shape, groups):
    x, start = activations(*shape), variables(5)
    y, updated = BatchNorm(groups=groups).apply(start, jnp.asarray(x), True, mutable="batch_stats")
    expected, mean, var = reference(x, groups, start)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["var"], var, rtol=1e-5)


def test_groups_do_not_see_each_other():
    x, start = activations(8, 5), variables(5)
    norm = BatchNorm(groups=2)
    y, _ = norm.apply(start, jnp.asarray(x), True, mutable="batch_stats")
    x[1::2] += 7 * activations(4, 5)
    changed, _ = norm.apply(start, jnp.asarray(x), True, mutable="batch_stats")
    np.testing.assert_array_equal(changed[::2], y[::2])
    assert np.abs(changed[1::2] - y[1::2]).min() > 0


@pytest.mark.parametrize("train", [True, False])
def test_one_group_is_the_batch_norm_of_flax(train):
    x, start = jnp.asarray(activations(6, 2, 2, 5)), variables(5)
    of_flax = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)

    def value(norm, *args):
        def loss(params, x):
            given = start | {"params": params}
            y, updated = norm.apply(given, x, *args, mutable="batch_stats")
            return jnp.sum(jnp.sin(y)), (y, updated)

        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(start["params"], x)

    actual, expected = value(BatchNorm(), train), value(of_flax)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), actual, expected
    )
    assert jax.tree.structure(actual[0][1][1]) == jax.tree.structure(expected[0][1][1])


@pytest.mark.parametrize("groups", [1, 4])
def test_evaluation_uses_the_running_statistics_and_leaves_them(groups):
    x, start = activations(3, 2, 2, 5), variables(5)
    y, updated = BatchNorm(groups=groups).apply(start, jnp.asarray(x), False, mutable="batch_stats")
    stats, params = (jax.tree.map(np.float64, start[name]) for name in ("batch_stats", "params"))
    expected = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    np.testing.assert_allclose(y, expected * params["scale"] + params["bias"], rtol=1e-4, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, updated["batch_stats"], start["batch_stats"])


def test_bfloat16_activations_have_float32_statistics():
    start = variables(5)
    x = jnp.asarray(1 + activations(512, 5), jnp.bfloat16)
    norm = BatchNorm(dtype=jnp.bfloat16)
    y, updated = norm.apply(start, x, True, mutable="batch_stats")
    expected, mean, var = reference(np.asarray(x, np.float32), 1, start)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, rtol=2**-8, atol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(updated["batch_stats"]["var"], var, rtol=1e-5)
    initial = norm.init(jax.random.key(0), x, train=True)
    assert {leaf.dtype for leaf in jax.tree.leaves(initial)} == {jnp.dtype("float32")}


def test_a_channel_of_one_large_value_has_no_variance_and_no_nan():
    x = jnp.full((16, 3), 1e4) * jnp.asarray([1.0, 1.1, 1.3])[None]
    y, updated = BatchNorm().apply(variables(3), x, True, mutable="batch_stats")
    assert np.all(np.isfinite(y))
    assert np.all(np.asarray(updated["batch_stats"]["var"]) >= 0)


@pytest.mark.parametrize("groups", [1, 2])
def test_eight_devices_normalise_as_one(groups):
    x, start = jnp.asarray(activations(16, 2, 2, 5)), variables(5)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    norm = BatchNorm(groups=groups)

    @jax.jit
    def both(x):
        def loss(x):
            y, updated = norm.apply(start, x, True, mutable="batch_stats")
            return jnp.sum(jnp.sin(y)), updated

        return jax.value_and_grad(loss, has_aux=True)(x)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), both(sharded), both(x)
    )
    moves = both.lower(sharded).compile().as_text()
    assert "all-gather" not in moves
    assert "all-to-all" not in moves
    assert "collective-permute" not in moves


@pytest.mark.parametrize(("scale", "bias"), [(False, False), (True, False), (False, True)])
def test_only_the_parameters_asked_for_are_made(scale, bias):
    norm = BatchNorm(use_scale=scale, use_bias=bias)
    params = norm.init(jax.random.key(0), jnp.ones((2, 3)), train=True).get("params", {})
    assert set(params) == {name for name, on in (("scale", scale), ("bias", bias)) if on}


def test_initialisation_does_not_need_the_whole_batch():
    made = BatchNorm(groups=8).init(jax.random.key(0), jnp.ones((1, 3)), train=True)
    np.testing.assert_array_equal(made["batch_stats"]["mean"], np.zeros(3))
    np.testing.assert_array_equal(made["batch_stats"]["var"], np.ones(3))


@pytest.mark.parametrize("groups", [0, 3, 16])
def test_groups_that_do_not_divide_the_batch_are_refused(groups):
    with pytest.raises(ValueError, match=f"batch of 8 cannot be split into {groups} equal"):
        BatchNorm(groups=groups).apply(variables(5), jnp.ones((8, 5)), True, mutable="batch_stats")


@pytest.mark.parametrize("shape", [(4, 5), (4, 1, 1, 5)])
def test_groups_of_one_value_are_refused(shape):
    with pytest.raises(ValueError, match="more than one value per channel"):
        BatchNorm(groups=4).apply(variables(5), jnp.ones(shape), True, mutable="batch_stats")


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("mean", [100.0, 1000.0, 4000.0])
def test_a_small_variance_beside_a_large_mean_is_kept(mean, groups):
    """Output, statistics and gradient, on one device and on eight, against float64."""
    rng = np.random.default_rng(0)
    x = (mean + rng.normal(size=(64, 4, 4, 3))).astype(np.float32)
    weights = rng.normal(size=x.shape).astype(np.float32)
    start, norm = variables(3), BatchNorm(groups=groups)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))

    @jax.jit
    def passes(x):
        def loss(x):
            y, updated = norm.apply(start, x, True, mutable="batch_stats")
            return jnp.sum(weights * y), (y, updated["batch_stats"])

        return jax.grad(loss, has_aux=True)(x)

    expected, *running = reference(x, groups, start)
    slope = np.empty(x.shape)
    for group in range(groups):
        part = x[group::groups].astype(np.float64)
        normal = (part - part.mean((0, 1, 2))) / np.sqrt(part.var((0, 1, 2)) + 1e-5)
        given = np.float64(weights[group::groups]) * np.float64(start["params"]["scale"])
        rest = given.mean((0, 1, 2)) + normal * (given * normal).mean((0, 1, 2))
        slope[group::groups] = (given - rest) / np.sqrt(part.var((0, 1, 2)) + 1e-5)
    for images in (x, jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))):
        gradient, (y, updated) = passes(images)
        # The mean is as exact as a sum of float32 is, to 1e-6 of itself.
        np.testing.assert_allclose(y, expected, atol=1e-6 * mean + 1e-5)
        np.testing.assert_allclose(updated["mean"], running[0], rtol=1e-6)
        np.testing.assert_allclose(updated["var"], running[1], rtol=1e-4)
        np.testing.assert_allclose(gradient, slope, atol=1e-6 * mean + 1e-5)


@pytest.mark.parametrize("shape", [(6, 5), (6, 3, 2, 5)])
def test_layer_norm_is_of_each_example_alone(shape):
    x, start = activations(*shape), variables(5)["params"]
    expected = np.empty(shape)
    for i, row in enumerate(x.astype(np.float64)):
        expected[i] = (row - row.mean()) / np.sqrt(row.var() + 1e-5)
    expected = expected * np.float64(start["scale"]) + np.float64(start["bias"])
    for train in (True, False):
        y = LayerNorm().apply({"params": start}, jnp.asarray(x), train)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    alone = LayerNorm().apply({"params": start}, jnp.asarray(x[2:3]), True)
    np.testing.assert_allclose(alone[0], expected[2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["small", "resnet18"])
def test_encoders_take_layer_norm_for_batch_norm(name):
    narrow = {"widths": (4, 6)} if name == "small" else {"stem": "cifar"}
    encoder = build_encoder(name, norm=LayerNorm, **narrow)
    shapes = jax.eval_shape(
        lambda: encoder.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)), False)
    )
    assert set(shapes) == {"params"}


@pytest.mark.parametrize("name", ["small", "resnet18"])
def test_encoders_take_no_norm_for_batch_norm(name):
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    encoder = build_encoder(name, norm=NoNorm)
    variables = jax.eval_shape(lambda x: encoder.init(jax.random.key(0), x, train=True), images)
    assert set(variables) == {"params"}
    assert all(set(layer) == {"kernel"} for layer in _layers(variables["params"]))


def _layers(params):
    """Those that hold arrays themselves."""
    if any(not isinstance(x, dict) for x in params.values()):
        return [params]
    return [layer for part in params.values() for layer in _layers(part)]


def test_instance_norm_is_of_each_channel_of_each_example():
    x = 3 + 2 * activations(3, 4, 5, 2)
    mean, var = (f(np.float64(x), axis=(1, 2), keepdims=True) for f in (np.mean, np.var))
    expected = (x - mean) / np.sqrt(var + 1e-5)
    assert not jax.tree.leaves(InstanceNorm().init(jax.random.key(0), jnp.asarray(x), True))
    for train in (True, False):
        found = InstanceNorm().apply({}, jnp.asarray(x), train)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    params = {"scale": jnp.array([2.0, 3.0]), "bias": jnp.array([0.5, -1.0])}
    found = InstanceNorm(use_scale=True, use_bias=True).apply(
        {"params": params}, jnp.asarray(x), True
    )
    scaled = expected * np.array([2.0, 3.0]) + np.array([0.5, -1.0])
    np.testing.assert_allclose(found, scaled, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="more than one position"):
        InstanceNorm().apply({}, jnp.ones((4, 1, 1, 3)), True)


def test_group_norm_normalises_groups_of_each_examples_channels():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(3, 4, 5, 6)) * rng.uniform(0.5, 3, 6) + 2).astype(np.float32)
    parameters = {"scale": rng.normal(size=6), "bias": rng.normal(size=6)}
    start = {"params": jax.tree.map(jnp.float32, parameters)}
    found = GroupNorm(2).apply(start, jnp.asarray(x), True)
    parts = np.float64(x).reshape(3, 20, 2, 3)
    parts = parts - parts.mean(axis=(1, 3), keepdims=True)
    parts = parts / np.sqrt(np.square(parts).mean(axis=(1, 3), keepdims=True) + 1e-5)
    expected = parts.reshape(x.shape) * parameters["scale"] + parameters["bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="4 groups do not divide 6 channels"):
        GroupNorm(4).init(jax.random.key(0), jnp.asarray(x), True)
