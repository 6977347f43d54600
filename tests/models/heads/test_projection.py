"""Heads: the parameters each method's has, and the arithmetic in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import ProjectionHead


def features(batch: int = 6, dim: int = 5) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(batch, dim)), jnp.float32)


def parameters(head: ProjectionHead) -> set[str]:
    made = jax.eval_shape(lambda x: head.init(jax.random.key(0), x, train=True), features())
    return {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree_util.tree_leaves_with_path(made["params"])
    }


HIDDEN = {"linear1/kernel", "norm1/scale", "norm1/bias"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, HIDDEN | {"linear2/kernel", "norm2/scale"}, id="simclr"),
        pytest.param(
            {"num_layers": 3},
            HIDDEN
            | {"linear2/kernel", "norm2/scale", "norm2/bias", "linear3/kernel", "norm3/scale"},
            id="simclr v2",
        ),
        pytest.param(
            {"batch_norm": False, "last_batch_norm": False},
            {"linear1/kernel", "linear1/bias", "linear2/kernel", "linear2/bias"},
            id="moco v2",
        ),
        pytest.param(
            {"last_batch_norm": False, "last_bias": False}, HIDDEN | {"linear2/kernel"}, id="byol"
        ),
        pytest.param({"last_bn_affine": "none"}, HIDDEN | {"linear2/kernel"}, id="simsiam"),
        pytest.param(
            {"last_batch_norm": False},
            HIDDEN | {"linear2/kernel", "linear2/bias"},
            id="simsiam predictor",
        ),
        pytest.param(
            {"num_layers": 1, "last_bn_affine": "full"},
            {"linear1/kernel", "norm1/scale", "norm1/bias"},
            id="linear",
        ),
    ],
)
def test_a_head_has_the_parameters_of_its_method(options, expected):
    assert parameters(ProjectionHead(out_dim=3, **options)) == expected


def test_widths_default_to_the_input_for_hidden_layers_and_128_for_the_output():
    x = features()
    head = ProjectionHead(num_layers=3)
    outputs, _ = jax.eval_shape(lambda x: head.init_with_output(jax.random.key(0), x, True), x)
    assert [output.shape for output in outputs] == [(6, 5), (6, 5), (6, 128)]
    wide = ProjectionHead(num_layers=3, hidden_dim=7, out_dim=2)
    outputs, _ = jax.eval_shape(lambda x: wide.init_with_output(jax.random.key(0), x, True), x)
    assert [output.shape for output in outputs] == [(6, 7), (6, 7), (6, 2)]


def normalised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


def test_every_layer_computes_what_the_formula_says():
    x = features()
    head = ProjectionHead(num_layers=2, hidden_dim=4, out_dim=3)
    variables = head.init(jax.random.key(0), x, train=True)
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), variables["params"]
    )
    (hidden, output), _ = head.apply(variables | {"params": params}, x, True, mutable="batch_stats")

    params = jax.tree.map(np.float64, params)
    middle = normalised(np.float64(x) @ params["linear1"]["kernel"])
    middle = np.maximum(middle * params["norm1"]["scale"] + params["norm1"]["bias"], 0)
    last = normalised(middle @ params["linear2"]["kernel"]) * params["norm2"]["scale"]
    np.testing.assert_allclose(hidden, middle, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output, last, rtol=1e-3, atol=1e-4)


def test_without_norms_the_layers_are_affine_with_a_relu_between():
    x = features()
    head = ProjectionHead(hidden_dim=4, out_dim=3, batch_norm=False, last_batch_norm=False)
    params = head.init(jax.random.key(0), x, train=True)["params"]
    params["linear1"]["bias"] = jnp.arange(4.0)
    params["linear2"]["bias"] = jnp.arange(3.0)
    hidden, output = head.apply({"params": params}, x, train=True)
    middle = np.maximum(np.float64(x) @ np.float64(params["linear1"]["kernel"]) + np.arange(4), 0)
    last = middle @ np.float64(params["linear2"]["kernel"]) + np.arange(3)
    np.testing.assert_allclose(hidden, middle, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(output, last, rtol=1e-5, atol=1e-6)


def test_bfloat16_is_the_type_of_outputs_alone():
    head = ProjectionHead(dtype=jnp.bfloat16)
    outputs, variables = jax.eval_shape(
        lambda x: head.init_with_output(jax.random.key(0), x, train=True), features()
    )
    assert {output.dtype for output in outputs} == {jnp.dtype("bfloat16")}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"num_layers": 0}, "0 layers"), ({"last_bn_affine": "bias"}, "last_bn_affine is 'bias'")],
)
def test_impossible_heads_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        parameters(ProjectionHead(**options))
