"""LeJEPA: its loss in float64, its directions, and that all that is learnt gets a gradient."""

import jax
import numpy as np
import pytest

from ssljax import augment, losses
from ssljax.methods import passes
from ssljax.methods.contract import Turn
from ssljax.methods.joint_embedding.lejepa import LeJEPA
from ssljax.run.step import init_state


@pytest.fixture(scope="module")
def at_start(tiny):
    """The method, two views' projections by a key, and the loss with its gradient."""
    method = tiny.build(LeJEPA, slices=8, local_crops=0)
    state, views = tiny.jit(lambda: init_state(method, jax.random.key(0)))(), tiny.views()

    @tiny.jit
    def compute(key):
        params = state.params["online"]
        crops, _ = passes.forward_crops(method.network, params, state.variables["online"], views)
        statistics = [
            losses.sigreg(crop["projection"], jax.random.split(key)[0], 8) for crop in crops
        ]
        loss = jax.value_and_grad(method.loss, has_aux=True)
        return crops, statistics, loss(params, Turn(state, views, key))

    return compute


def test_defaults_are_the_authors():
    config = LeJEPA.default_config()
    assert (config.lambd, config.slices, config.knots, config.knot_limit) == (0.05, 1024, 17, 3.0)
    for view, size, scale in (
        (config.view, 224, (0.3, 1.0)),
        (config.local_view, 98, (0.05, 0.3)),
    ):
        policy = augment.view_from_config(view)
        assert (policy.size, policy.crop_scale, policy.flip_p) == (size, scale, 0.5)
        assert (policy.brightness, policy.contrast) == (0.4, 0.4)
        assert (policy.saturation, policy.hue, policy.jitter_p) == (0.2, 0.1, 0.8)
        assert (policy.gray_p, policy.blur_p, policy.solarize_p) == (0.2, 0.5, 0.2)


def test_loss_is_prediction_and_gaussianity_by_their_weights(at_start):
    crops, statistics, ((value, aux), gradient) = at_start(jax.random.key(1))
    views = np.stack([np.asarray(crop["projection"], np.float64) for crop in crops])
    prediction = np.mean((views - views.mean(axis=0)) ** 2)
    np.testing.assert_allclose(aux.metrics["prediction"], prediction, rtol=1e-4)
    np.testing.assert_allclose(aux.metrics["sigreg"], np.mean(statistics), rtol=1e-5)
    expected = 0.95 * prediction + 0.05 * np.mean(statistics)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    assert set(gradient) == {"encoder", "projector"}
    assert sum("linear" in name for name in gradient["projector"]) == 3


def test_each_step_has_other_directions(at_start):
    one, other = (at_start(jax.random.key(key))[2][0] for key in (1, 2))
    assert float(one[1].metrics["prediction"]) == float(other[1].metrics["prediction"])
    assert float(one[1].metrics["sigreg"]) != float(other[1].metrics["sigreg"])
