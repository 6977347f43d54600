"""The context network sees its own row and those above it, and nothing below."""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.models import MaskedContext

BLOCKS, ROWS, COLUMNS = 2, 5, 6


def test_a_row_is_seen_from_itself_and_from_the_rows_below_alone():
    network = MaskedContext(BLOCKS, 7)
    grid = jax.random.normal(jax.random.key(0), (2, ROWS, COLUMNS, 3))
    params = network.init(jax.random.key(1), grid)

    @jax.jit
    def reach(row, column):
        """How much the context of one place depends on every place of its image."""
        gradient = jax.grad(lambda x: jnp.sum(network.apply(params, x)[0, row, column]))(grid)
        return jnp.sum(jnp.abs(gradient), axis=-1)

    seen = np.zeros((ROWS, COLUMNS, ROWS, COLUMNS), bool)
    for row, column in np.ndindex(ROWS, COLUMNS):
        slopes = np.asarray(reach(row, column))
        assert not slopes[1].any(), "another image"
        seen[row, column] = slopes[0] > 0
    for row, column in np.ndindex(ROWS, COLUMNS):
        found = seen[row, column]
        assert not found[row + 1 :].any()
        assert not found[: max(0, row - BLOCKS)].any()
        assert not found[:, : max(0, column - BLOCKS)].any()
        assert not found[:, column + BLOCKS + 1 :].any()
    # What may be seen is seen, but for places where rectifiers happen to be off for all channels.
    assert seen[3, 3, 1:4, 1:6].mean() > 0.9
