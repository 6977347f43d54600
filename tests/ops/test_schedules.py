"""Half a cosine, by what it must be at its ends, in its middle and between."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.schedules import half_cosine


@pytest.mark.parametrize(("start", "end"), [(0.3, 0.0), (0.04, 0.4), (0.996, 1.0), (2.0, 2.0)])
def test_it_goes_from_start_to_end_and_is_even_about_its_middle(start, end):
    way = half_cosine(start, end, jnp.linspace(0.0, 1.0, 9))
    np.testing.assert_allclose(way[jnp.array([0, 4, 8])], [start, (start + end) / 2, end], 1e-6)
    np.testing.assert_allclose(way + way[::-1], start + end, rtol=1e-6)
    assert np.all(np.diff(way) * np.sign(end - start) >= 0)


def test_it_is_flat_at_both_ends():
    slope = jax.vmap(jax.grad(lambda progress: half_cosine(1.0, 0.0, progress)))
    expected = -np.pi / 2 * np.sin(np.pi * np.linspace(0, 1, 5))
    np.testing.assert_allclose(slope(jnp.linspace(0.0, 1.0, 5)), expected, atol=1e-6)
