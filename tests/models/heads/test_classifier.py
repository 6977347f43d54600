"""The classifier: layers of a pretrained head in their places, and classes that start at zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models import Classifier, EncoderWithHeads, ProjectionHead, SmallConvNet

IMAGES = jnp.asarray(np.random.default_rng(0).uniform(size=(6, 8, 8, 1)), jnp.float32)


def encoder(**options):
    return SmallConvNet(widths=(4, 6), **options)


@pytest.fixture(scope="module")
def pretrained():
    head = ProjectionHead(num_layers=3, hidden_dim=10, out_dim=5)
    branch = EncoderWithHeads(encoder=encoder(), projector=head)
    variables = jax.jit(branch.init, static_argnums=2)(jax.random.key(1), IMAGES, True)
    # Running statistics that are not those of the start.
    return branch, branch.apply(variables, IMAGES, True, mutable=["batch_stats"])[1] | {
        "params": variables["params"]
    }


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("train", [False, True])
def test_with_a_branchs_weights_it_classifies_that_layer_of_its_head(pretrained, layers, train):
    branch, trained = pretrained
    network = Classifier(encoder=encoder(), num_classes=3, head_layers=layers, head_dim=10)
    own = network.init(jax.random.key(0), IMAGES, train=False)
    kernel = np.random.default_rng(1).normal(size=own["params"]["classifier"]["kernel"].shape)
    classifier = {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.arange(3.0)}

    def fill(tree, source):
        return {
            name: fill(part, source[name]) if isinstance(part, dict) else source[name]
            for name, part in tree.items()
        }

    params = fill(own["params"], trained["params"] | {"classifier": classifier})
    stats = fill(own["batch_stats"], trained["batch_stats"])
    variables = {"params": params, "batch_stats": stats}
    outputs, _ = network.apply(variables, IMAGES, train, mutable=["batch_stats"])
    wanted, _ = branch.apply(trained, IMAGES, train, mutable=["batch_stats"])
    read = wanted[f"projector{layers}" if layers else "features"]
    np.testing.assert_allclose(outputs["features"], wanted["features"], rtol=1e-6)
    expected = np.asarray(read, np.float64) @ kernel + np.arange(3)
    np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-4, atol=1e-5)
    heads = [name for name in outputs if name.startswith("projector")]
    assert heads == [f"projector{i}" for i in range(1, layers + 1)]


def test_untrained_it_prefers_no_class():
    network = Classifier(encoder=encoder(), num_classes=3, head_layers=1)
    variables = network.init(jax.random.key(0), IMAGES, train=False)
    assert not np.any(network.apply(variables, IMAGES, train=False)["logits"])
    # As wide as the features, if nothing else is asked for.
    assert variables["params"]["projector"]["linear1"]["kernel"].shape == (6, 6)


def test_logits_are_float32_at_any_compute_type():
    network = Classifier(
        encoder=encoder(dtype=jnp.bfloat16), num_classes=3, head_layers=1, dtype=jnp.bfloat16
    )
    outputs, _ = network.init_with_output(jax.random.key(0), IMAGES, train=False)
    assert outputs["logits"].dtype == jnp.float32
    assert outputs["projector1"].dtype == jnp.bfloat16
