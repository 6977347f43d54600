"""The cross-entropy of copied colours, against a loop and its slope in float64."""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.losses import copied_color_cross_entropy


def data():
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 9, 3))
    key_colors = np.eye(3)[np.arange(18).reshape(2, 9) % 3]
    return queries, keys, key_colors, np.eye(3)[rng.integers(0, 3, (2, 4))]


def reference(queries, keys, key_colors, colors, temperature):
    total = 0.0
    for clip, place in np.ndindex(queries.shape[:2]):
        powers = np.exp(keys[clip] @ queries[clip, place] / temperature)
        copied = powers @ key_colors[clip] / powers.sum()
        total -= np.log(copied @ colors[clip, place])
    return total / queries[..., 0].size


def test_value_and_slopes_match_float64():
    given = data()
    for temperature in (1.0, 0.5):
        value, slopes = jax.value_and_grad(copied_color_cross_entropy, argnums=(0, 1, 2))(
            *map(jnp.float32, given), temperature
        )
        np.testing.assert_allclose(value, reference(*given, temperature), rtol=1e-5)
        for number in (0, 1):
            expected = np.zeros_like(given[number])
            for place in np.ndindex(expected.shape):
                ends = []
                for move in (1e-5, -1e-5):
                    moved = [x.copy() for x in given]
                    moved[number][place] += move
                    ends.append(reference(*moved, temperature))
                expected[place] = (ends[0] - ends[1]) / 2e-5
            np.testing.assert_allclose(slopes[number], expected, rtol=1e-3, atol=1e-6)
        assert not np.any(slopes[2])


def test_a_colour_that_no_source_has_is_finite_and_teaches_nothing():
    queries, keys, key_colors, colors = map(jnp.float32, data())
    key_colors = jnp.zeros_like(key_colors).at[..., 0].set(1.0)
    colors = jnp.zeros_like(colors).at[..., 1].set(1.0)
    value, slope = jax.value_and_grad(copied_color_cross_entropy)(queries, keys, key_colors, colors)
    np.testing.assert_allclose(value, -np.log(1e-6), rtol=1e-5)
    np.testing.assert_array_equal(slope, 0.0)
