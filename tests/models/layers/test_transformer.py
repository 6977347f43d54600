"""The transformer block, against Eq. 2 and 3 of the ViT paper in float64."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models.layers.transformer import SelfAttention, TransformerBlock

gelu = np.vectorize(lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))))


def block_in_numpy(params, x, heads):
    """Eq. 2 and 3 of the ViT paper in float64, head by head."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

    def norm(name, v):
        centred = v - v.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(np.mean(centred**2, -1, keepdims=True) + 1e-6)
        return scaled * p[name]["scale"] + p[name]["bias"]

    def linear(leaf, v):
        return v @ leaf["kernel"] + leaf["bias"]

    dim = x.shape[-1]
    per_head = dim // heads
    attention = p["attention"]
    qkv = linear(attention["qkv"], norm("norm1", x))
    query, key, value = np.split(qkv, 3, axis=-1)
    mixed, all_weights = [], []
    for head in range(heads):
        part = slice(head * per_head, (head + 1) * per_head)
        logits = query[..., part] @ key[..., part].swapaxes(1, 2) / math.sqrt(per_head)
        weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        mixed.append(weights @ value[..., part])
        all_weights.append(weights)
    x = x + p.get("layer_scale1", 1.0) * linear(attention["out"], np.concatenate(mixed, -1))
    hidden = gelu(linear(p["mlp_hidden"], norm("norm2", x)))
    return x + p.get("layer_scale2", 1.0) * linear(p["mlp_out"], hidden), np.stack(all_weights, 1)


@partial(jax.jit, static_argnames=("block", "train"))
def evaluate(block, params, tokens, train=False):
    return block.apply({"params": params}, tokens, train=train)


@pytest.fixture(scope="module")
def tokens():
    return jax.random.normal(jax.random.key(1), (2, 5, 12))


@pytest.fixture(scope="module")
def params(tokens):
    """Parameters of which none is 0 or 1, made without compiling the initialisers."""
    init = partial(TransformerBlock(heads=3).init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), tokens)["params"]
    rng = np.random.default_rng(2)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.float32(
            0.3 * rng.standard_normal(leaf.shape) + (path[-1].key == "scale")
        ),
        shapes,
    )


def test_block_is_the_formula(params, tokens):
    out, weights = evaluate(TransformerBlock(heads=3), params, tokens)
    expected, expected_weights = block_in_numpy(params, np.asarray(tokens, np.float64), 3)
    np.testing.assert_allclose(out, expected, atol=1e-5)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-6)


def test_layer_scale_scales_each_channel_of_what_is_added(params, tokens):
    block = TransformerBlock(heads=3, layer_scale=1e-5)
    init = partial(block.init, train=False)
    started = jax.jit(
        lambda key: {k: v for k, v in init(key, tokens)["params"].items() if "scale" in k}
    )
    for scale in started(jax.random.key(0)).values():
        np.testing.assert_array_equal(scale, np.full(12, 1e-5, np.float32))
    rng = np.random.default_rng(3)
    scales = {f"layer_scale{i}": jnp.float32(rng.normal(size=12)) for i in (1, 2)}
    out, _ = evaluate(block, params | scales, tokens)
    expected, _ = block_in_numpy(params | scales, np.asarray(tokens, np.float64), 3)
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_tokens_that_are_absent_are_as_if_they_were_not(params, tokens):
    present = jnp.array([[True, False, True, True, False]] * 2)
    out, weights = jax.jit(
        lambda x: TransformerBlock(heads=3).apply({"params": params}, x, False, present)
    )(tokens)
    alone, _ = evaluate(TransformerBlock(heads=3), params, tokens[:, np.array([0, 2, 3])])
    np.testing.assert_allclose(out[:, np.array([0, 2, 3])], alone, atol=1e-5)
    assert not np.any(weights[..., np.array([1, 4])])


def test_block_commutes_with_permutations(params, tokens):
    block = TransformerBlock(heads=3)
    order = np.array([3, 0, 4, 1, 2])
    out, weights = evaluate(block, params, tokens)
    moved, moved_weights = evaluate(block, params, tokens[:, order])
    np.testing.assert_allclose(moved, out[:, order], atol=1e-5)
    np.testing.assert_allclose(moved_weights, weights[:, :, order][..., order], atol=1e-6)


def test_attention_rows_sum_to_one_in_bfloat16(params, tokens):
    block = TransformerBlock(heads=3, dtype=jnp.bfloat16)
    x = 4 * tokens.astype(jnp.bfloat16)
    out, weights = evaluate(block, params, x)
    assert out.dtype == jnp.bfloat16
    assert weights.dtype == jnp.float32
    np.testing.assert_allclose(np.sum(weights, -1), 1.0, atol=1e-5)


def test_queries_keys_and_values_start_within_xaviers_limit_of_one_matrix():
    init = jax.jit(SelfAttention(heads=2).init)
    kernel = init(jax.random.key(0), jnp.zeros((1, 2, 64)))["params"]["qkv"]["kernel"]
    limit = math.sqrt(6 / (64 + 64))
    for part in np.split(np.asarray(kernel), 3, axis=1):
        assert 0.98 * limit < np.abs(part).max() <= limit
        np.testing.assert_allclose(part.std(), limit / math.sqrt(3), rtol=0.05)
    query, key, value = np.split(np.asarray(kernel), 3, axis=1)
    assert not np.array_equal(query, key)
    assert not np.array_equal(key, value)


@pytest.fixture(scope="module")
def dropped(params, tokens):
    """Many copies of one example through a block whose perceptron adds nothing."""
    silent = params | {"mlp_out": jax.tree.map(jnp.zeros_like, params["mlp_out"])}
    example = tokens[:1]
    whole, _ = evaluate(TransformerBlock(heads=3), silent, example)

    @jax.jit
    def train(x):
        block = TransformerBlock(heads=3, drop_path=0.25)
        rngs = {"drop_path": jax.random.key(5)}
        return block.apply({"params": silent}, x, train=True, rngs=rngs)[0]

    outputs = train(jnp.broadcast_to(example, (2048, 5, 12)))
    return np.asarray(outputs), np.asarray(example), np.asarray(whole), np.asarray(train(tokens))


def test_drop_path_keeps_or_drops_whole_examples(dropped):
    outputs, example, whole, _ = dropped
    scaled = example + (whole - example) / 0.75
    kept = np.all(np.abs(outputs - scaled) < 1e-4, axis=(1, 2))
    gone = np.all(np.abs(outputs - example) < 1e-4, axis=(1, 2))
    assert np.all(kept ^ gone)
    # Four standard deviations of a binomial share.
    np.testing.assert_allclose(kept.mean(), 0.75, atol=4 * math.sqrt(0.75 * 0.25 / 2048))


def test_drop_path_keeps_the_expectation(dropped):
    outputs, _, whole, _ = dropped
    np.testing.assert_allclose(outputs.mean(0), whole[0], atol=0.1 * np.abs(whole).max())


def test_drop_of_an_example_does_not_depend_on_the_size_of_the_batch(dropped):
    outputs, example, _, in_batch_of_two = dropped
    assert np.allclose(outputs[0], example[0]) == np.allclose(in_batch_of_two[0], example[0])
    np.testing.assert_allclose(in_batch_of_two[0], outputs[0], atol=1e-5)


def test_evaluation_and_rate_zero_need_no_random_numbers(params, tokens):
    still, _ = evaluate(TransformerBlock(heads=3), params, tokens, train=True)
    evaluated, _ = evaluate(TransformerBlock(heads=3, drop_path=0.5), params, tokens)
    np.testing.assert_array_equal(evaluated, still)


def test_impossible_attributes_are_told(tokens):
    with pytest.raises(ValueError, match="5 heads cannot share 12 channels"):
        TransformerBlock(heads=5).init(jax.random.key(0), tokens, train=False)
    with pytest.raises(ValueError, match=r"drop_path is 1\.0"):
        TransformerBlock(heads=3, drop_path=1.0).init(jax.random.key(0), tokens, train=False)
