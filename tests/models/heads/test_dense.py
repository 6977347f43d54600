"""The dense head doubles the side, and predicts at each place from what lies around it."""

import jax
import jax.numpy as jnp
import pytest

from ssljax.models import DenseHead


def variables_of(head, *shape):
    return jax.eval_shape(
        lambda x: head.init_with_output(jax.random.key(0), x, False),
        jax.ShapeDtypeStruct(shape, jnp.float32),
    )


def test_on_the_network_of_colorization_it_is_the_released_conv8():
    predictions, variables = variables_of(DenseHead(44, 313), 2, 22, 22, 512)
    assert predictions.shape == (2, 44, 44, 313)
    count = (16 * 512 * 256 + 256) + 2 * (9 * 256 * 256 + 256) + (256 * 313 + 313)
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == count


@pytest.mark.parametrize(("side", "doublings"), [(4, 0), (8, 1), (16, 2)])
def test_the_side_is_doubled_as_often_as_it_takes(side, doublings):
    predictions, variables = variables_of(DenseHead(side, 5, 8), 2, 4, 4, 6)
    assert predictions.shape == (2, side, side, 5)
    assert sum(name.startswith("up") for name in variables["params"]) == doublings


@pytest.mark.parametrize(("side", "shape"), [(7, (4, 4)), (2, (4, 4)), (12, (4, 4)), (8, (4, 8))])
def test_sides_that_no_doublings_lead_to_are_refused(side, shape):
    with pytest.raises(ValueError, match=f"{shape[0]}x{shape[1]} places, from which no doublings"):
        variables_of(DenseHead(side, 5, 8), 2, *shape, 6)
