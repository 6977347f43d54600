"""VICReg: the loss of two passes, from the paper's formulas."""

import numpy as np
import pytest

from ssljax.methods.joint_embedding.vicreg import VICReg


def test_the_loss_is_the_weighted_sum_of_the_three_terms(tiny, first_steps):
    _, states, _ = first_steps(VICReg)
    method = tiny.build(VICReg, invariance=3.0, variance=5.0, covariance=7.0)
    state, views = states[1], tiny.views()
    loss, aux = tiny.loss(method, state, views)
    z = []
    for view in views:
        outputs, _ = tiny.outputs(
            method.network, state.params["online"], state.variables["online"], view
        )
        z.append(np.asarray(outputs["projection"], np.float64))
    terms = {"invariance": np.mean((z[0] - z[1]) ** 2), "variance": 0.0, "covariance": 0.0}
    for rows in z:
        covariance = np.cov(rows, rowvar=False)
        std = np.sqrt(np.diagonal(covariance) + 1e-4)
        terms["variance"] += np.mean(np.maximum(0, 1 - std)) / 2
        terms["covariance"] += np.sum(covariance**2 * ~np.eye(16, dtype=bool)) / 16
    for name, term in terms.items():
        assert float(aux.metrics[name]) == pytest.approx(term, rel=1e-3)
    expected = 3 * terms["invariance"] + 5 * terms["variance"] + 7 * terms["covariance"]
    assert loss == pytest.approx(expected, rel=1e-4)


def test_the_published_weights_are_the_default():
    config = VICReg.default_config()
    assert (config.invariance, config.variance, config.covariance) == (25.0, 25.0, 1.0)
