"""pix2pix: pairs that lie side by side, and losses beside the input."""

import jax.numpy as jnp
import numpy as np
import pytest
from translators import KEY, TASK, build, config, images, loss, start, translate

from ssljax import augment
from ssljax.augment import ViewPolicy, split_pairs
from ssljax.methods.translation import Pix2Pix


@pytest.fixture(scope="module")
def method():
    return build(Pix2Pix)


@pytest.fixture(scope="module")
def state(method):
    return start(method)


def pairs(left, right):
    """Pairs of squares, each stretched to twice its height, as the data has them."""
    return jnp.concatenate([jnp.repeat(left, 2, axis=1), jnp.repeat(right, 2, axis=1)], axis=2)


def views(method, key=KEY):
    both = pairs(images(0, 4), images(1, 4))
    return method.views(key, {"images": {"image": both}})


def test_halves_are_squares_again():
    left, right = images(0, 3), images(1, 3)
    for found, expected in zip(split_pairs(pairs(left, right)), (left, right), strict=True):
        assert found.dtype == jnp.uint8
        # Two equal rows are one, but for what their neighbours add to it when they are shrunk.
        rows = jnp.repeat(expected, 2, axis=1)
        wanted = 255 * augment.resize(augment.to_float(rows), (16, 16))
        np.testing.assert_allclose(np.asarray(found, np.float32), wanted, atol=0.5 + 1e-3)
    flat = jnp.full((1, 16, 16, 1), 100, jnp.uint8)
    for found, value in zip(split_pairs(pairs(flat, flat + 55)), (100, 155), strict=True):
        np.testing.assert_array_equal(found, np.full((1, 16, 16, 1), value))
    with pytest.raises(ValueError, match="15 pixels wide have no two halves"):
        split_pairs(jnp.zeros((1, 15, 15, 1), jnp.uint8))


def test_the_direction_says_which_half_is_made(method):
    found = views(method)
    left, right = split_pairs(pairs(images(0, 4), images(1, 4)))
    np.testing.assert_allclose(found["input"], np.asarray(left) / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(found["target"], np.asarray(right) / 127.5 - 1, atol=1e-6)
    other = build(Pix2Pix, direction="B to A")
    turned = views(other)
    np.testing.assert_array_equal(turned["input"], found["target"])
    np.testing.assert_array_equal(turned["target"], found["input"])
    assert (method.translations(), other.translations()) == (("A to B",), ("B to A",))


def test_a_rule_makes_the_other_half_of_the_pair():
    raw = images(2, 4)
    there, back = (build(Pix2Pix, rule="turned", direction=way) for way in ("A to B", "B to A"))
    given, wanted = there.halves(raw)
    np.testing.assert_array_equal(given, raw)
    np.testing.assert_array_equal(wanted, np.rot90(raw, axes=(1, 2)))
    for found, expected in zip(back.halves(raw), (wanted, given), strict=True):
        np.testing.assert_array_equal(found, expected)
    seen = there.views(KEY, {"images": {"image": raw}})
    np.testing.assert_allclose(seen["target"], np.asarray(wanted) / 127.5 - 1, atol=1e-6)


def test_both_images_of_a_pair_are_cut_and_flipped_as_one():
    settings = config(Pix2Pix)
    view = ViewPolicy(16, crop_scale=(0.3, 0.6), flip_p=0.5)
    settings.method.view.update(crop_scale=view.crop_scale, flip_p=view.flip_p)
    method = Pix2Pix(settings, TASK)
    one = images(0, 8)
    found = method.views(KEY, {"images": {"image": pairs(one, one)}})
    np.testing.assert_allclose(found["input"], found["target"], atol=1e-6)
    assert np.any(np.abs(found["input"] - (np.asarray(one) / 127.5 - 1)) > 0.1)


def test_the_losses_are_those_of_the_paper(method, state):
    seen = views(method)
    network = method.networks.by_role
    fake, _ = network["generator"].apply(
        {"params": state.params["generator"], **state.variables["generator"]},
        seen["input"],
        True,
        mutable=["batch_stats"],
        rngs={"dropout": seen["dropout"], "drop_path": seen["dropout"]},
    )

    def judged(images):
        found, _ = network["discriminator"].apply(
            {"params": state.params["discriminator"], **state.variables["discriminator"]},
            jnp.concatenate([seen["input"], images], axis=-1),
            True,
            mutable=["batch_stats"],
        )
        return np.asarray(found["logits"], np.float64)

    value, _ = loss(method, "discriminator", state, seen, {})
    halves = (
        np.mean(np.logaddexp(0, -judged(seen["target"]))),
        np.mean(np.logaddexp(0, judged(fake))),
    )
    np.testing.assert_allclose(value, sum(halves) / 2, rtol=1e-4)
    value, _ = loss(method, "generator", state, seen, {})
    error = np.abs(np.asarray(fake, np.float64) - np.asarray(seen["target"])).mean()
    expected = np.mean(np.logaddexp(0, -judged(fake))) + 100 * error
    np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_inputs_alone_are_translated_and_nothing_is_dropped(method, state):
    raw = images(4, 2)
    found = translate(method, state, raw, "A to B")
    expected = method.networks.by_role["generator"].apply(
        {"params": state.params["generator"], **state.variables["generator"]},
        raw.astype(jnp.float32) / 127.5 - 1,
        False,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="no translation 'B to A'; there is A to B"):
        method.translate(state, raw, "B to A")


def test_a_direction_that_is_none_is_told():
    with pytest.raises(ValueError, match="direction is 'AtoB'; it must be one of A to B, B to A"):
        build(Pix2Pix, direction="AtoB")


def test_a_rule_that_is_none_is_told():
    with pytest.raises(ValueError, match=r"method\.rule is 'mirrored'; it must be one of none, "):
        build(Pix2Pix, rule="mirrored")
