"""Arguments that broadcasting or a sign would let through are refused by name."""

import jax
import jax.numpy as jnp
import pytest

from ssljax.losses.checks import check_positive, check_same_shape
from ssljax.losses.clustering import sinkhorn_knopp
from ssljax.losses.decoupled import dclw
from ssljax.losses.distillation import dino_loss
from ssljax.losses.momentum_contrast import info_nce_batch, info_nce_queue
from ssljax.losses.nearest_neighbor import nnclr


def test_unequal_shapes_are_named():
    with pytest.raises(ValueError, match=r"a \(2, 3\), b \(1, 3\)"):
        check_same_shape(a=jnp.zeros((2, 3)), b=jnp.zeros((1, 3)))
    check_same_shape(a=jnp.zeros((2, 3)), b=jnp.ones((2, 3)))


@pytest.mark.parametrize("value", [0, 0.0, -1.0])
def test_number_that_is_not_positive_is_named(value):
    with pytest.raises(ValueError, match="sigma is"):
        check_positive(temperature=0.1, sigma=value)


def test_traced_numbers_pass():
    jax.jit(lambda t: check_positive(temperature=t))(jnp.float32(-1.0))


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: info_nce_queue(x, x, x, temperature=0.0),
        lambda x: info_nce_batch(x, x, temperature=0.0),
        lambda x: nnclr(x, x, temperature=0.0),
        lambda x: dclw(x, x, temperature=0.0),
        lambda x: dclw(x, x, sigma=0.0),
        lambda x: dino_loss([x, x], [x, x], x[0], student_temperature=0.0),
        lambda x: dino_loss([x, x], [x, x], x[0], teacher_temperature=0.0),
        lambda x: sinkhorn_knopp(x, epsilon=0.0),
    ],
)
def test_losses_refuse_a_zero_temperature(loss):
    with pytest.raises(ValueError, match="above 0"):
        loss(jnp.ones((2, 3)))
