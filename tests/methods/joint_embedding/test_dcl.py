"""DCL and DCLW: the loss of a whole pass, from their formulas."""

import numpy as np
import pytest

from ssljax.methods.joint_embedding.dcl import DCL


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_formula_on_a_joint_pass(tiny, first_steps, unit, weighted):
    _, states, _ = first_steps(DCL)
    method = tiny.build(DCL, weighted=weighted)
    state, views = states[1], tiny.views()
    loss, _ = tiny.loss(method, state, views)
    outputs = tiny.joint_outputs(
        method.network, state.params["online"], state.variables["online"], views
    )
    z = [unit(output["projection"]) for output in outputs]
    cosine = np.sum(z[0] * z[1], axis=1)
    weight = 2 - np.exp(cosine / 0.5) / np.mean(np.exp(cosine / 0.5)) if weighted else 1.0
    others = ~np.eye(16, dtype=bool)
    expected = 0.0
    for anchor, partner in ((z[0], z[1]), (z[1], z[0])):
        candidates = np.exp(anchor @ anchor.T / 0.1) + np.exp(anchor @ partner.T / 0.1)
        negatives = np.log(np.sum(candidates, axis=1, where=others))
        expected += np.mean(negatives - weight * cosine / 0.1)
    assert loss == pytest.approx(expected, rel=1e-4)
