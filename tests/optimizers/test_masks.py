"""Parameters chosen by name, on the parameters of a real network."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ssljax import models, optimizers


def network_params():
    """Shapes of the parameters of a real encoder with a real head."""
    encoder = models.build_encoder("resnet18", stem="cifar")
    head = models.ProjectionHead(num_layers=2, last_batch_norm=False)

    def init(key):
        return {
            "encoder": encoder.init(key, jnp.zeros((2, 32, 32, 3)), train=True)["params"],
            "projector": head.init(key, jnp.zeros((2, 512)), train=True)["params"],
        }

    return jax.eval_shape(init, jax.random.key(0))


def test_by_default_the_kernels_and_nothing_else_are_decayed():
    params = network_params()
    mask = optimizers.name_mask(optimizers.Settings("sgd", 0.1).exclude)(params)
    paths = {
        jax.tree_util.keystr(path, simple=True, separator="/"): kept
        for path, kept in jax.tree_util.tree_leaves_with_path(mask)
    }
    convolutions = {
        f"encoder/stage{stage}_block{block}/conv{conv}/kernel"
        for stage in (1, 2, 3, 4)
        for block in (1, 2)
        for conv in (1, 2)
    }
    shortcuts = {f"encoder/stage{stage}_block1/shortcut_conv/kernel" for stage in (2, 3, 4)}
    linear = {"projector/linear1/kernel", "projector/linear2/kernel"}
    expected = {"encoder/stem_conv/kernel"} | convolutions | shortcuts | linear
    assert {path for path, kept in paths.items() if kept} == expected
    left_out = {path for path, kept in paths.items() if not kept}
    assert len(left_out) == 2 * 20 + 2 + 1
    assert {"projector/linear2/bias", "projector/norm1/scale"} < left_out
    assert jax.tree.structure(mask) == jax.tree.structure(params)


def test_norms_are_known_by_name_and_spectral_norm_is_none_of_them():
    mask = optimizers.name_mask([optimizers.NORMS_AND_BIASES])
    params = {
        "BatchNorm_0": {"gamma": 1},
        "layernorm": {"offset": 1},
        "SpectralNorm_0": {"Dense_0": {"kernel": 1}},
        "rescale": {"kernel": 1},
    }
    assert mask(params) == {
        "BatchNorm_0": {"gamma": False},
        "layernorm": {"offset": False},
        "SpectralNorm_0": {"Dense_0": {"kernel": True}},
        "rescale": {"kernel": True},
    }


def test_each_update_is_scaled_by_the_factor_of_its_name():
    factors = {"encoder/conv/kernel": 0.0, "head/kernel": 10.0, "head/bias": 20.0}
    tx = optimizers.scale_by_name(factors.__getitem__)
    updates = {"encoder": {"conv": {"kernel": jnp.ones(2)}}, "head": {"kernel": jnp.ones(2)}}
    updates["head"]["bias"] = jnp.full(1, -1.0)
    scaled, _ = tx.update(updates, tx.init(updates))
    expected = {"encoder": {"conv": {"kernel": np.zeros(2)}}, "head": {"kernel": np.full(2, 10.0)}}
    expected["head"]["bias"] = np.full(1, -20.0)
    chex.assert_trees_all_equal(scaled, expected)
