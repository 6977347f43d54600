"""The conditional GAN: classes in both networks."""

import gans
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.adversarial.cgan import CGAN

NETWORKS = {
    "generator": {"name": "dcgan", "width": 0.03},
    "discriminator": {"name": "dcgan", "width": 0.03},
}


@pytest.fixture(scope="module")
def method():
    return gans.build(CGAN, discriminator_steps=1, **NETWORKS)


@pytest.fixture(scope="module")
def state(method):
    """Untrained, but for scales and biases that differ between the classes."""
    start = gans.start(method)
    leaves, structure = jax.tree.flatten(start.params["generator"])
    rng = np.random.default_rng(0)
    noisy = [x + jnp.asarray(rng.normal(scale=0.3, size=x.shape), x.dtype) for x in leaves]
    average = dict(start.memory["generator"]) | {"params": jax.tree.unflatten(structure, noisy)}
    return start.replace(
        params=start.params | {"generator": average["params"]}, memory={"generator": average}
    )


def test_classes_of_generated_images_are_drawn_uniformly(method):
    labels = np.asarray(method.latents(jax.random.key(0), 3000)["label"])
    assert labels.dtype == np.int32
    np.testing.assert_allclose(np.bincount(labels) / 3000, 1 / 3, atol=0.04)
    noise = np.asarray(method.latents(jax.random.key(0), 3000)["noise"])
    assert abs(np.corrcoef(labels, noise[:, 0])[0, 1]) < 0.06


def test_the_class_changes_the_image(method, state):
    latents = method.latents(jax.random.key(0), 4)
    images = [
        np.asarray(gans.generate(method, state, latents | {"label": jnp.full(4, label)}))
        for label in range(gans.CLASSES)
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(images[one] - images[other]).max() > 0.05


def test_the_logit_is_a_projection_plus_a_part_without_class(method, state):
    images, labels = gans.views(method)["image"], jnp.arange(gans.BATCH) % gans.CLASSES
    outputs = gans.discriminate(method, state, images, labels)
    heads = state.params["discriminator"]["heads"]
    vectors = state.variables["discriminator"]["spectral"]["heads"]

    def normed(layer):
        kernel = np.asarray(heads[layer]["kernel"], np.float64)
        return kernel / np.linalg.norm(kernel @ np.asarray(vectors[layer]["u"], np.float64))

    phi = np.asarray(outputs["features"], np.float64)
    projection = np.sum(phi * normed("embed")[np.asarray(labels)], axis=1)
    plain = phi @ normed("logit")[:, 0] + np.asarray(heads["logit"]["bias"], np.float64)
    np.testing.assert_allclose(outputs["logits"], projection + plain, rtol=1e-4, atol=1e-6)


def test_each_image_is_judged_with_its_own_class(method, state):
    views = gans.views(method)
    assert set(views) == {"image", "label"}
    loss, aux = gans.loss(method, "discriminator", state, views)
    updated = state.replace(
        variables=state.variables
        | {"discriminator": state.variables["discriminator"] | aux.variables}
    )
    key = jax.random.split(gans.KEY)[0]
    fake = gans.sample_fakes(method, state, views, key)
    labels = method.latents(key, gans.BATCH)["label"]

    def logits(images, labels):
        return np.asarray(gans.discriminate(method, updated, images, labels)["logits"], np.float64)

    real, false = logits(views["image"], views["label"]), logits(fake, labels)
    expected = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + false).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    swapped = views | {"label": (views["label"] + 1) % gans.CLASSES}
    assert abs(gans.loss(method, "discriminator", state, swapped)[0] - loss) > 1e-6


def test_features_need_no_classes(method, state):
    found = gans.features(method, state, gans.batch(0)["images"]["image"][:, 0])
    assert np.all(np.isfinite(found["features"]))
