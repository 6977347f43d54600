"""DINO's head against float64."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ssljax.models.heads.dino import DinoHead


def leaves(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf, np.float64)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def test_head_is_a_perceptron_and_cosines():
    head = DinoHead(num_layers=3, hidden_dim=6, bottleneck_dim=4, out_dim=5)
    x = jax.random.normal(jax.random.key(0), (3, 7))
    params = jax.jit(lambda: head.init(jax.random.key(1), x, False)["params"])()
    params = jax.tree.map(lambda p: 30 * p + 0.1, params)
    found = jax.jit(lambda: head.apply({"params": params}, x, True))()

    flat, y = leaves(params), np.asarray(x, np.float64)
    for layer in (1, 2):
        y = y @ flat[f"linear{layer}/kernel"] + flat[f"linear{layer}/bias"]
        y = y * (1 + np.vectorize(math.erf)(y / math.sqrt(2))) / 2
        np.testing.assert_allclose(found[layer - 1], y, rtol=1e-4, atol=1e-5)
    y = y @ flat["linear3/kernel"] + flat["linear3/bias"]
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    last = flat["last_layer"] / np.linalg.norm(flat["last_layer"], axis=1, keepdims=True)
    np.testing.assert_allclose(found[2], y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[3], y @ last.T, rtol=1e-4, atol=1e-5)


def test_heads_last_layer_has_no_length_to_learn():
    head = DinoHead(hidden_dim=6, bottleneck_dim=4, out_dim=5)
    x = jax.random.normal(jax.random.key(0), (3, 7))

    @jax.jit
    def compute():
        params = head.init(jax.random.key(1), x, False)["params"]
        cubes = jax.grad(lambda params: jnp.sum(head.apply({"params": params}, x, True)[-1] ** 3))
        return params, cubes(params)

    params, gradient = compute()
    along = np.sum(np.asarray(gradient["last_layer"]) * np.asarray(params["last_layer"]), axis=1)
    assert np.abs(gradient["last_layer"]).max() > 1e-2
    np.testing.assert_allclose(along, 0.0, atol=1e-5)


def test_default_head_is_the_papers():
    """For ViT-S: 384 to 2048, 2048, 256 and 65536, as the official code counts its parameters."""
    x = jnp.zeros((1, 384))
    shapes = jax.eval_shape(functools.partial(DinoHead().init, train=True), jax.random.key(0), x)
    weights = 384 * 2048 + 2048 * 2048 + 2048 * 256 + 256 * 65536
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == weights + 2048 + 2048 + 256


def test_head_with_batch_norm_has_one_norm_a_hidden_layer():
    head = DinoHead(num_layers=2, hidden_dim=6, bottleneck_dim=4, out_dim=5, batch_norm=True)
    x = jax.random.normal(jax.random.key(0), (8, 7))

    @jax.jit
    def compute():
        variables = head.init(jax.random.key(1), x, False)
        return variables, head.apply(variables, x, True, mutable=["batch_stats"])[0]

    variables, (hidden, *_) = compute()
    assert set(variables["batch_stats"]) == {"norm1"}
    before = np.asarray(x, np.float64) @ np.asarray(variables["params"]["linear1"]["kernel"])
    standard = (before - before.mean(axis=0)) / np.sqrt(before.var(axis=0) + 1e-5)
    np.testing.assert_allclose(hidden, nn.gelu(standard, approximate=False), atol=1e-4)


def test_last_layer_starts_as_a_linear_layer_of_pytorch():
    """Uniform within 1 / sqrt(inputs): rows of mean square 1 / 3, by which a step turns them."""
    head = DinoHead(num_layers=1, bottleneck_dim=256, out_dim=512)
    params = jax.jit(lambda: head.init(jax.random.key(0), jnp.zeros((1, 4)), False)["params"])()
    last = np.asarray(params["last_layer"], np.float64)
    assert last.shape == (512, 256)
    assert 0.99 / 16 < np.abs(last).max() <= 1 / 16
    lengths = np.linalg.norm(last, axis=1)
    np.testing.assert_allclose(np.mean(lengths), 1 / math.sqrt(3), rtol=0.01)
    assert lengths.std() < 0.03


def test_bottleneck_has_length_one_at_any_scale_of_the_features():
    head = DinoHead(num_layers=1, bottleneck_dim=4, out_dim=5)
    x = jax.random.normal(jax.random.key(0), (3, 7))
    variables = head.init(jax.random.key(1), x, False)
    expected, found = (head.apply(variables, scale * x, True) for scale in (1.0, 1e-12))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)
