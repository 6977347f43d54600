"""Arguments that broadcasting or a sign would let through are refused by name."""

import jax
import jax.numpy as jnp
import pytest

from ssljax.ops.checks import check_positive, check_same_shape


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
