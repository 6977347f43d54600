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
    for (row, column), found in zip(np.ndindex(ROWS, COLUMNS), seen.reshape(-1, ROWS, COLUMNS)):
        assert not found[row + 1 :].any()
        far = max(0, row - BLOCKS)
        assert not found[:far].any()
        left, right = max(0, column - BLOCKS), column + BLOCKS + 1
        assert not found[:, :left].any()
        assert not found[:, right:].any()
    # What may be seen is seen, but for places where rectifiers happen to be off for all channels.
    middle = seen[3, 3, 1:4, 1:6]
    assert middle.mean() > 0.9
