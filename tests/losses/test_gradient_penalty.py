"""Gradient penalties: against derivatives by hand, and their own slope in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from sharded import collective_sizes, on_eight_devices

from ssljax.losses import gradient_penalty as gp

SHAPE, HIDDEN = (2, 2, 3), 5
KEY = jax.random.key(3)


def critic(params, images):
    x = images.reshape(images.shape[0], -1)
    hidden = jnp.tanh(x @ params["w1"] + params["b1"][None])
    return hidden @ params["w2"]


def arrays(dtype, batch=8):
    """Parameters, real and fake images."""
    rng = np.random.default_rng(0)
    size = int(np.prod(SHAPE))
    params = {
        "w1": rng.normal(size=(size, HIDDEN)) / np.sqrt(size),
        "b1": rng.normal(size=HIDDEN),
        "w2": 2 * rng.normal(size=HIDDEN),
    }
    cast = functools.partial(jnp.asarray, dtype=dtype)
    real, fake = rng.normal(size=(2, batch, *SHAPE))
    return jax.tree.map(cast, params), cast(real), cast(fake + 1)


def slopes(params, images):
    """Norms of the critic's input gradient, by hand."""
    w1, b1, w2 = (np.asarray(params[name], np.float64) for name in ("w1", "b1", "w2"))
    x = np.asarray(images, np.float64).reshape(len(images), -1)
    gradient = (w2 * (1 - np.tanh(x @ w1 + b1) ** 2)) @ w1.T
    return np.sqrt(np.sum(gradient**2, axis=1))


def _interpolated(params, real, fake):
    return gp.interpolated_gradient_penalty(functools.partial(critic, params), real, fake, KEY)


def _steep(params, real, fake):
    bound = functools.partial(critic, params | {"w2": 400 * params["w2"]})
    return gp.interpolated_gradient_penalty(bound, real, fake, KEY, target=750.0)


def _dragan(params, real, fake):
    return gp.dragan_penalty(functools.partial(critic, params), real, KEY)


def _r1(params, real, fake):
    return gp.zero_centered_penalty(functools.partial(critic, params), real)


PENALTIES = {"interpolated": _interpolated, "steep": _steep, "dragan": _dragan, "r1": _r1}


@pytest.mark.parametrize("name", PENALTIES)
def test_an_image_that_is_not_a_number_makes_no_number(name):
    params, real, fake = arrays(jnp.float32)
    assert np.isnan(PENALTIES[name](params, real.at[3].set(jnp.nan), fake))


def test_interpolated_penalty_matches_float64():
    params, real, fake = arrays(jnp.float32)
    places = np.asarray(jax.random.uniform(KEY, (8, 1, 1, 1)), np.float64)
    points = (1 - places) * np.asarray(real) + places * np.asarray(fake)
    expected = np.mean((slopes(params, points) - 1) ** 2)
    np.testing.assert_allclose(_interpolated(params, real, fake), expected, rtol=1e-5)


def test_a_steep_target_is_missed_by_a_share_of_it():
    params, real, fake = arrays(jnp.float32)
    places = np.asarray(jax.random.uniform(KEY, (8, 1, 1, 1)), np.float64)
    points = (1 - places) * np.asarray(real) + places * np.asarray(fake)
    found = 400 * slopes(params, points)
    assert found.min() < 750 < found.max()
    expected = np.mean((found - 750) ** 2) / 750**2
    np.testing.assert_allclose(_steep(params, real, fake), expected, rtol=1e-5)


def test_a_target_that_is_no_slope_is_refused():
    with pytest.raises(ValueError, match="target is 0"):
        gp.interpolated_gradient_penalty(
            lambda x: x[:, 0], jnp.zeros((8, 2)), jnp.zeros((8, 2)), KEY, target=0.0
        )


def test_dragan_penalty_matches_float64():
    params, real, fake = arrays(jnp.float32)
    noise_key, place_key = jax.random.split(KEY)
    x = np.asarray(real, np.float64)
    noise = np.asarray(jax.random.uniform(noise_key, real.shape), np.float64)
    places = np.asarray(jax.random.uniform(place_key, (8, 1, 1, 1)), np.float64)
    expected = np.mean((slopes(params, x + places * 0.5 * np.std(x) * noise) - 1) ** 2)
    np.testing.assert_allclose(_dragan(params, real, fake), expected, rtol=1e-5)


def test_r1_matches_float64():
    params, real, fake = arrays(jnp.float32)
    expected = 0.5 * np.mean(slopes(params, real) ** 2)
    np.testing.assert_allclose(_r1(params, real, fake), expected, rtol=1e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradient_by_the_parameters_is_the_slope_in_float64(name):
    with jax.enable_x64(True):
        params, real, fake = arrays(jnp.float64)
        step = jax.jit(jax.value_and_grad(PENALTIES[name]))
        value, gradients = step(params, real, fake)
        assert value.dtype == jnp.float64
        rng = np.random.default_rng(1)
        for leaf in ("w1", "w2", "b1"):
            direction = rng.normal(size=params[leaf].shape)

            def along(size, leaf=leaf, direction=direction):
                moved = params | {leaf: params[leaf] + size * jnp.asarray(direction)}
                return float(step(moved, real, fake)[0])

            slope = (along(1e-5) - along(-1e-5)) / 2e-5
            assert abs(slope) > 1e-3
            np.testing.assert_allclose(np.vdot(gradients[leaf], direction), slope, rtol=1e-7)


@pytest.mark.parametrize("name", PENALTIES)
def test_eight_devices_equal_one(name):
    params, real, fake = arrays(jnp.float32, batch=16)
    step = jax.jit(jax.value_and_grad(PENALTIES[name]))
    value, gradients = step(params, real, fake)
    many = on_eight_devices([real, fake])
    program = step.lower(params, *many).compile()
    sharded_value, sharded_gradients = program(params, *many)
    np.testing.assert_allclose(sharded_value, value, rtol=1e-5)
    for leaf, whole in gradients.items():
        np.testing.assert_allclose(sharded_gradients[leaf], whole, rtol=1e-4, atol=1e-5)
    sizes = collective_sizes(program.as_text())
    assert max(sizes) <= params["w1"].size, "nothing larger than the gradients may travel"


@pytest.mark.parametrize("name", PENALTIES)
def test_bfloat16_images_stay_finite(name):
    params, real, fake = arrays(jnp.bfloat16)
    value, gradients = jax.jit(jax.value_and_grad(PENALTIES[name]))(params, real, fake)
    assert value.dtype == jnp.float32
    exact = PENALTIES[name](*arrays(jnp.float32))
    np.testing.assert_allclose(value, exact, rtol=0.1)
    for gradient in jax.tree.leaves(gradients):
        assert np.all(np.isfinite(gradient.astype(jnp.float32)))


@pytest.mark.parametrize("name", PENALTIES)
def test_a_flat_critic_has_a_finite_gradient(name):
    params, real, fake = arrays(jnp.float32)
    flat = jax.tree.map(jnp.zeros_like, params)
    value, gradients = jax.value_and_grad(PENALTIES[name])(flat, real, fake)
    assert float(value) == pytest.approx(0.0 if name == "r1" else 1.0, abs=1e-5)
    for gradient in jax.tree.leaves(gradients):
        assert np.all(np.isfinite(gradient))


def test_r1_does_not_see_the_order_of_the_batch():
    params, real, fake = arrays(jnp.float32)
    order = np.random.default_rng(1).permutation(8)
    np.testing.assert_allclose(_r1(params, real[order], fake), _r1(params, real, fake), rtol=1e-6)


def test_each_pair_has_one_place_for_all_its_values():
    real, fake = jnp.zeros((3, 4)), jnp.ones((3, 4))

    def place(row, column):
        """Where between 0 and 1 this value was taken: its own square has that slope."""
        only = jnp.zeros((3, 4)).at[row, column].set(1.0)
        penalty = gp.interpolated_gradient_penalty(
            lambda x: jnp.sum(only * x**2 / 2, axis=1), real, fake, KEY
        )
        # The other two rows are flat and count 1 each.
        return 1 - np.sqrt(3 * float(penalty) - 2)

    rows = [[place(row, column) for column in range(4)] for row in range(3)]
    for row in rows:
        np.testing.assert_allclose(row, row[0], rtol=1e-4)
    assert len({round(row[0], 3) for row in rows}) == 3


def test_places_cover_the_whole_line_evenly():
    count = 4096
    penalty = gp.interpolated_gradient_penalty(
        lambda x: x[:, 0] ** 2 / 2, jnp.zeros((count, 1)), jnp.ones((count, 1)), KEY
    )
    # The mean of (place - 1) ** 2 over [0, 1] is 1/3, with a standard error below 0.005.
    assert float(penalty) == pytest.approx(1 / 3, abs=0.02)


def test_dragan_looks_near_real_images_alone():
    real = jnp.tile(jnp.array([[-1.0], [1.0]]), (2048, 1))  # standard deviation 1

    def from_real(x):
        return (x - jnp.sign(x))[:, 0]

    penalty = gp.dragan_penalty(lambda x: from_real(x) ** 2 / 2, real, KEY)
    # With d = place * noise / 2, the mean of (d - 1) ** 2 is 1/36 - 1/4 + 1.
    assert float(penalty) == pytest.approx(7 / 9, abs=0.02)
    below = gp.dragan_penalty(lambda x: jnp.minimum(from_real(x), 0.0) ** 2, real, KEY)
    beyond = gp.dragan_penalty(lambda x: jnp.maximum(from_real(x) - 0.5, 0.0) ** 2, real, KEY)
    assert float(below) == float(beyond) == pytest.approx(1.0, abs=1e-5)


def test_dragans_noise_is_as_wide_as_the_images_of_all_devices():
    real = jnp.repeat(jnp.array([[[-1.0]], [[1.0]]]), 4096, axis=1)  # alike on each device

    def penalty(real, key, axis_name):
        def critic(x):
            return (x - jnp.sign(x))[:, 0] ** 2 / 2

        return gp.dragan_penalty(critic, real, key, axis_name)

    keys = jax.random.split(KEY, 2)
    for axis_name, expected in (("data", 7 / 9), (None, 1.0)):
        mapped = jax.vmap(functools.partial(penalty, axis_name=axis_name), axis_name="data")
        np.testing.assert_allclose(mapped(real, keys), expected, atol=0.03)


def test_other_keys_look_elsewhere():
    params, real, fake = arrays(jnp.float32)
    bound = functools.partial(critic, params)
    keys = jax.random.split(KEY, 2)
    for penalty in (
        lambda key: gp.interpolated_gradient_penalty(bound, real, fake, key),
        lambda key: gp.dragan_penalty(bound, real, key),
    ):
        assert float(penalty(keys[0])) != float(penalty(keys[1]))


def test_a_score_per_place_is_refused():
    with pytest.raises(ValueError, match=r"\(8, 2, 2\) for 8 images"):
        gp.zero_centered_penalty(lambda x: x[..., 0], jnp.zeros((8, *SHAPE)))


def test_unpaired_images_are_refused():
    with pytest.raises((ValueError, TypeCheckError), match=r"one shape|fake"):
        gp.interpolated_gradient_penalty(
            lambda x: x[:, 0], jnp.zeros((8, 2)), jnp.zeros((1, 2)), KEY
        )


def test_clipping_touches_only_what_is_too_large():
    params = {"a": jnp.array([-3.0, -0.01, 0.0]), "b": {"c": jnp.array([[0.02, 0.005]])}}
    clipped = gp.clip_weights(params, 0.01)
    np.testing.assert_allclose(clipped["a"], [-0.01, -0.01, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped["b"]["c"], [[0.01, 0.005]], rtol=1e-6)


def test_clipping_needs_a_positive_limit():
    with pytest.raises(ValueError, match="limit"):
        gp.clip_weights({"a": jnp.ones(2)}, 0.0)
