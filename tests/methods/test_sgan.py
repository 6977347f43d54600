"""SGAN: its three terms in float64, the averaged classifier, and the supervised twin."""

import dataclasses

import gans
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods import labelled_bank
from ssljax.methods.adversarial import keys_beside
from ssljax.methods.sgan import SGAN


@pytest.fixture(scope="module")
def method():
    return gans.build(SGAN, bank_size=6)


@pytest.fixture(scope="module")
def views(method):
    """Two of the batch are labelled."""
    views = gans.views(method)
    labels = np.full(gans.BATCH, -1, np.int32)
    labels[[2, 5]] = 1, 0
    return views | {"label": jnp.asarray(labels)}


@pytest.fixture(scope="module")
def state(method):
    """Untrained, with four labelled images in the bank."""
    start = gans.start(method)
    rng = np.random.default_rng(1)
    bank = start.memory["labelled"]
    for label in (0, 1, 2, 1):
        image = jnp.asarray(rng.uniform(-1, 1, (gans.SIDE, gans.SIDE, 1)), jnp.float32)
        bank = labelled_bank.remember(bank, {"image": image, "label": jnp.int32(label)})
    return start.replace(memory=start.memory | {"labelled": bank})


def logits(method, state, images):
    return np.asarray(gans.judge(method, state, images)["class_logits"], np.float64)


def log_z(logits):
    return np.log(np.exp(logits).sum(axis=1))


def supervised(method, state, views):
    images, labels = labelled_bank.draw(
        state.memory["labelled"], keys_beside(jax.random.split(gans.KEY)[0], views["image"])
    )
    return gans.cross_entropy(logits(method, state, images), labels)


def test_the_discriminator_names_labelled_images_and_tells_all_real_from_generated_ones(
    method, state, views
):
    fake = gans.imagine(method, state, views, jax.random.split(gans.KEY)[1])
    real, false = (log_z(logits(method, state, x)) for x in (views["image"], fake))
    unsupervised = 0.5 * (gans.softplus(real) - real).mean() + 0.5 * gans.softplus(false).mean()
    loss, aux = gans.loss(method, "discriminator", state, views)
    np.testing.assert_allclose(loss, supervised(method, state, views) + unsupervised, rtol=1e-5)
    np.testing.assert_array_equal(aux.carry["newcomer"]["image"], views["image"][2])
    assert int(aux.carry["newcomer"]["label"]) == 1


def test_labels_of_the_batch_are_read_by_the_bank_alone(method, state, views):
    """They would be seen a hundred times less often than the bank's."""
    hidden = views | {"label": jnp.full_like(views["label"], -1)}
    losses = [gans.loss(method, "discriminator", state, v)[0] for v in (views, hidden)]
    np.testing.assert_array_equal(*losses)


def test_without_any_label_the_supervised_loss_is_zero(method, views):
    _, aux = gans.loss(method, "discriminator", gans.start(method), views)
    assert float(aux.metrics["supervised_loss"]) == 0


@pytest.mark.parametrize("matching", [True, False])
def test_the_generator_matches_mean_features_or_plays(method, state, views, matching):
    fake = gans.imagine(method, state, views, gans.KEY)
    if matching:
        means = [
            np.asarray(gans.judge(method, state, x)["features"], np.float64).mean(axis=0)
            for x in (views["image"], fake)
        ]
        expected = np.mean((means[0] - means[1]) ** 2)
    else:
        expected = -gans.softplus(log_z(logits(method, state, fake))).mean()
    other = gans.build(SGAN, bank_size=6, feature_matching=matching)
    loss, _ = gans.loss(other, "generator", state, views)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_twin_learns_from_the_same_labels_alone(method, state, views):
    twin = gans.build(SGAN, bank_size=6, supervised_only=True)
    loss, aux = gans.loss(twin, "discriminator", state, views)
    np.testing.assert_allclose(loss, supervised(method, state, views), rtol=1e-5)
    assert not bool(twin.players[1].active(jnp.int32(0)))
    a, b = (jax.eval_shape(lambda method=m: method.init(jax.random.key(0))) for m in (twin, method))
    assert jax.tree.map(jnp.shape, a) == jax.tree.map(jnp.shape, b)
    assert "newcomer" in aux.carry


def test_the_average_of_the_classifier_is_evaluated():
    method = gans.build(SGAN, bank_size=6, discriminator_ema_decay=0.5)
    states, _ = gans.run(method, 2)
    trees = [jax.tree.map(np.asarray, state.params["discriminator"]) for state in states]
    average = jax.tree.map(lambda a, b, c: jnp.asarray(0.25 * a + 0.25 * b + 0.5 * c), *trees)
    params, variables = method.trained_weights(states[-1])
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(average), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    images = gans.batch(9)["image"][:, 0]
    found = gans.features(method, states[-1], images)
    expected = method.discriminator.apply(
        {"params": average, **variables}, images.astype(jnp.float32) / 127.5 - 1, False
    )
    np.testing.assert_allclose(found["logits"], expected["class_logits"], rtol=1e-4, atol=1e-6)
    assert found["logits"].shape == (gans.BATCH, gans.CLASSES)
    # The first labelled image of each batch is in the bank.
    first, second = (gans.views(method, seed)["image"][0] for seed in (0, 1))
    bank = states[-1].memory["labelled"]
    np.testing.assert_array_equal(bank["image"][:2], jnp.stack([first, second]))
    assert int(bank["count"]) == 2


def test_it_needs_classes_and_sees_images_without_them():
    assert SGAN.sees_unlabelled
    with pytest.raises(ValueError, match="labels"):
        gans.build(SGAN, dataclasses.replace(gans.TASK, num_classes=None))


def test_defaults_are_the_papers():
    config = SGAN.default_config()
    assert config.feature_matching
    assert config.discriminator_ema_decay == 0.9999
    # With batch norm, all batches would have the same mean features.
    assert config.discriminator.norm == "none"
