"""The error of a transformation's parameters, against its formula in float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import transformation_error


def test_error_is_the_mean_over_images_and_parameters():
    told, truth = np.random.default_rng(0).normal(size=(2, 7, 8)).astype(np.float32)
    expected = np.mean((told.astype(np.float64) - truth) ** 2)
    found = transformation_error(jnp.asarray(told), jnp.asarray(truth))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_parameters_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 6\) parameters, and given \(1, 6\)"):
        transformation_error(jnp.zeros((2, 6)), jnp.zeros((1, 6)))
