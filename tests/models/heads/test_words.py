"""Heads that predict words: what is normalised and what is not."""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.models import CosineWords, GeneratedWords


def test_weights_are_generated_from_each_words_direction():
    head = GeneratedWords(scale=5.0)
    features = jax.random.normal(jax.random.key(0), (3, 4))
    vocabulary = jax.random.normal(jax.random.key(1), (6, 7))
    variables = head.init(jax.random.key(2), features, vocabulary, False)
    shapes = {name: x["kernel"].shape for name, x in variables["params"].items() if "kernel" in x}
    assert shapes == {"hidden": (7, 8), "weights": (8, 4)}

    def apply(features, vocabulary):
        return head.apply(variables, features, vocabulary, True, mutable=["batch_stats"])[0]

    logits = apply(features, vocabulary)
    # The length of a word is of no account, that of features is; words may be reordered.
    np.testing.assert_allclose(apply(features, 9.0 * vocabulary), logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(apply(2.0 * features, vocabulary), 2 * logits, rtol=1e-5)
    np.testing.assert_allclose(apply(features, vocabulary[::-1]), logits[:, ::-1], atol=1e-5)
    # Weights have length 1: with features that are unit vectors, logits show them.
    weights = apply(jnp.eye(4), vocabulary) / 5.0
    np.testing.assert_allclose(jnp.linalg.norm(weights, axis=0), 1.0, rtol=1e-5)


def test_learnt_words_have_length_one_and_one_scale():
    head = CosineWords(6, scale=3.0)
    features = jax.random.normal(jax.random.key(0), (2, 4))
    params = head.init(jax.random.key(1), features)["params"]
    assert params["scale"] == 3.0
    logits = head.apply({"params": params}, features)
    longer = params | {"weights": 7.0 * params["weights"]}
    np.testing.assert_allclose(head.apply({"params": longer}, features), logits, rtol=1e-5)
    doubled = head.apply({"params": params | {"scale": jnp.float32(6.0)}}, features)
    np.testing.assert_allclose(doubled, 2 * logits, rtol=1e-5)
    unit = head.apply({"params": params}, jnp.eye(4)) / 3.0
    np.testing.assert_allclose(jnp.linalg.norm(unit, axis=0), 1.0, rtol=1e-5)
