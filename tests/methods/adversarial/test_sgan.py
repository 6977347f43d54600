"""SGAN: its three terms in float64, the averaged classifier, and the supervised twin."""

import dataclasses

import gans
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.adversarial.sgan import SGAN
from ssljax.methods.contract import Feed

PLAIN = gans.WIDTHS["discriminator"] | {"dropout": 0.0, "input_dropout": 0.0}


def build(**changes):
    """Without dropout, so that a loss can be computed again."""
    return gans.build(SGAN, **({"discriminator": PLAIN} | changes))


@pytest.fixture(scope="module")
def method():
    return build()


@pytest.fixture(scope="module")
def views(method):
    return gans.views(method)


@pytest.fixture(scope="module")
def state(method):
    return gans.start(method)


def logits(method, state, images):
    return np.asarray(gans.discriminate(method, state, images)["class_logits"], np.float64)


def log_z(logits):
    return np.log(np.exp(logits).sum(axis=1))


def supervised(method, state, views):
    return gans.cross_entropy(logits(method, state, views["labelled"]), views["label"])


def test_the_discriminator_names_labelled_images_and_tells_all_real_from_generated_ones(
    method, state, views
):
    fake = gans.sample_fakes(method, state, views, jax.random.split(gans.KEY, 4)[0])
    real, false = (log_z(logits(method, state, x)) for x in (views["image"], fake))
    unsupervised = 0.5 * (gans.softplus(real) - real).mean() + 0.5 * gans.softplus(false).mean()
    loss, _ = gans.loss(method, "discriminator", state, views)
    np.testing.assert_allclose(loss, supervised(method, state, views) + unsupervised, rtol=1e-5)


def test_labels_of_the_batch_of_all_images_are_not_read(method):
    batch = jax.tree.map(lambda x: x[:, 0], gans.batch(0))
    label = batch["images"]["label"]
    shown, hidden = (
        method.views(gans.KEY, batch | {"images": batch["images"] | {"label": known}})
        for known in (label, jnp.full_like(label, -1))
    )
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), shown, hidden))


@pytest.mark.parametrize("matching", [True, False])
def test_the_generator_matches_mean_features_or_plays(method, state, views, matching):
    fake = gans.sample_fakes(method, state, views, jax.random.split(gans.KEY, 3)[0])
    if matching:
        means = [
            np.asarray(gans.discriminate(method, state, x)["features"], np.float64).mean(axis=0)
            for x in (views["image"], fake)
        ]
        expected = np.mean((means[0] - means[1]) ** 2)
    else:
        expected = -gans.softplus(log_z(logits(method, state, fake))).mean()
    other = build(feature_matching=matching)
    loss, _ = gans.loss(other, "generator", state, views)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_twin_learns_from_the_same_labels_alone(method, state, views):
    twin = build(supervised_only=True)
    loss, _ = gans.loss(twin, "discriminator", state, views)
    np.testing.assert_allclose(loss, supervised(method, state, views), rtol=1e-5)
    assert not bool(twin.players[1].active(jnp.int32(0)))
    a, b = (jax.eval_shape(lambda method=m: method.init(jax.random.key(0))) for m in (twin, method))
    assert jax.tree.map(jnp.shape, a) == jax.tree.map(jnp.shape, b)


def test_what_is_dropped_differs_by_pass_and_not_in_evaluation():
    dropping = build(discriminator=PLAIN | {"dropout": 0.5, "input_dropout": 0.2})
    state = gans.start(dropping)
    views = gans.views(dropping)
    same = views | {"image": views["labelled"]}
    images = views["labelled"]
    first, second = (
        np.asarray(
            dropping.discriminate(
                state.params["discriminator"], {}, images, dropout=jax.random.key(seed)
            )[0]["class_logits"]
        )
        for seed in (0, 1)
    )
    assert not np.allclose(first, second, rtol=1e-3)
    for name in ("discriminator", "generator"):
        values = [float(gans.loss(method, name, state, same)[0]) for method in (dropping, build())]
        assert np.isfinite(values).all()
        assert values[0] != pytest.approx(values[1], rel=1e-6)
    raw = gans.batch(0)["images"]["image"][:, 0]
    found, expected = (gans.features(method, state, raw) for method in (dropping, build()))
    np.testing.assert_array_equal(found["logits"], expected["logits"])


def test_the_average_of_the_classifier_is_evaluated():
    method = build(discriminator_ema_decay=0.5)
    states, _ = gans.run(method, 2)
    trees = [jax.tree.map(np.asarray, state.params["discriminator"]) for state in states]
    average = jax.tree.map(lambda a, b, c: jnp.asarray(0.25 * a + 0.25 * b + 0.5 * c), *trees)
    params, variables = method.trained_weights(states[-1])
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(average), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    images = gans.batch(9)["images"]["image"][:, 0]
    found = gans.features(method, states[-1], images)
    expected = method.networks.by_role["discriminator"].apply(
        {"params": average, **variables}, images.astype(jnp.float32) / 127.5 - 1, False
    )
    np.testing.assert_allclose(found["logits"], expected["class_logits"], rtol=1e-4, atol=1e-6)
    assert found["logits"].shape == (gans.BATCH, gans.CLASSES)


def test_it_needs_classes_and_sees_images_without_them():
    assert SGAN.feeds(gans.config(SGAN)) == {
        "images": Feed(("image",), unlabelled="seen"),
        "labelled": Feed(("image", "label"), unlabelled="left_out"),
    }
    with pytest.raises(ValueError, match="labels"):
        gans.build(SGAN, dataclasses.replace(gans.TASK, num_classes=None))


def test_defaults_are_the_papers():
    config = SGAN.default_config()
    assert config.feature_matching
    assert config.discriminator_ema_decay == 0.9999
    # With batch norm, all batches would have the same mean features.
    discriminator = SGAN.roles["discriminator"].options
    assert discriminator["norm"] == "none"
    assert (discriminator["dropout"], discriminator["input_dropout"]) == (0.5, 0.2)
