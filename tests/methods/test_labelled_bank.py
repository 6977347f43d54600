"""The bank of labelled images: what goes in, what is drawn."""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.methods import labelled_bank

SHAPE = (2, 2, 1)


def image(value):
    return jnp.full(SHAPE, value, jnp.float32)


def filled(*pairs, size=3):
    bank = labelled_bank.empty(size, SHAPE)
    for value, label in pairs:
        bank = labelled_bank.remember(bank, {"image": image(value), "label": jnp.int32(label)})
    return bank


def contents(bank):
    return list(zip(bank["image"][:, 0, 0, 0].tolist(), bank["label"].tolist(), strict=True))


def test_it_keeps_labelled_images_once_each():
    bank = filled((0.5, 2), (0.25, -1), (0.5, 2), (-0.5, 0))
    assert contents(bank) == [(0.5, 2), (-0.5, 0), (0.0, -1)]
    assert int(bank["count"]) == 2


def test_full_it_forgets_the_oldest():
    bank = filled((0.1, 0), (0.2, 1), (0.3, 2), (0.4, 0), (0.4, 0))
    np.testing.assert_allclose([v for v, _ in contents(bank)], [0.4, 0.2, 0.3], rtol=1e-6)
    assert bank["label"].tolist() == [0, 1, 2]


def test_an_image_of_zeros_is_no_empty_place():
    assert contents(filled((0.0, 1)))[0] == (0.0, 1)


def test_the_newcomer_is_the_first_labelled_image():
    images = jnp.stack([image(value) for value in (0.1, 0.2, 0.3)])
    found = labelled_bank.newcomer(images, jnp.asarray([-1, 2, 0], jnp.int32))
    assert (float(found["image"].mean()), int(found["label"])) == (np.float32(0.2), 2)
    none = labelled_bank.newcomer(images, jnp.asarray([-1, -1, -1], jnp.int32))
    assert int(none["label"]) == -1


def test_draws_are_uniform_over_what_is_there():
    bank = filled((0.1, 0), (0.2, 1))
    keys = jax.random.split(jax.random.key(0), 2000)
    images, labels = labelled_bank.draw(bank, keys)
    np.testing.assert_allclose(np.bincount(labels) / 2000, [0.5, 0.5], atol=0.04)
    np.testing.assert_allclose(images[:, 1, 1, 0], np.where(labels == 0, 0.1, 0.2), rtol=1e-6)


def test_an_empty_bank_gives_nothing_labelled():
    _, labels = labelled_bank.draw(filled(), jax.random.split(jax.random.key(0), 8))
    assert labels.tolist() == [-1] * 8
