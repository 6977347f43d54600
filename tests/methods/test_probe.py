"""The online probe: it learns from the labels, and its method does not notice it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssljax.methods import probe
from ssljax.methods.contract import Aux, Method, Player, Task
from ssljax.methods.joint_embedding.byol import BYOL
from ssljax.run.step import init_state, make_step


def test_the_method_learns_the_same_with_the_probe_as_without(tiny, first_steps, close):
    _, states, _ = first_steps(BYOL)
    probed = tiny.build(BYOL)
    probed.players = (*probed.players, probe.player(probed, tiny.task))
    state = tiny.init(probed)
    assert state.params["probe"]["kernel"].shape == (16, 3)
    step = tiny.jit(make_step(probed))
    for number in range(2):
        state, metrics = step(state, tiny.batch(number))
    assert 0.0 <= float(metrics["probe/accuracy"]) <= 1.0
    close(state.params["online"], states[2].params["online"])
    close(state.variables["online"], states[2].variables["online"])
    close(state.memory, states[2].memory)


class Pixels(Method):
    """Its features are the pixels, of the last of two updates on fresh data."""

    def __init__(self, task):
        one = Player("one", self.loss, optax.sgd(0.0), updates=2)
        self.players = (one, probe.player(self, task, learning_rate=0.5))

    def init(self, key):
        return {"one": jnp.zeros(())}, {}, ()

    def views(self, key, batch):
        return batch["images"]["image"]

    def loss(self, params, turn):
        return params, Aux(carry={"features": self.features(turn.state, turn.views)["features"]})

    def features(self, state, images):
        return {"features": images.reshape(images.shape[0], -1).astype(jnp.float32) / 255}

    def after_step(self, state, carried):
        assert set(carried) == {"features"}
        return state


TASK = Task(image_shape=(2, 2, 1), batch_size=6, total_steps=1, steps_per_epoch=1, num_classes=3)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_one_step_of_the_probe_by_hand(accumulate):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 2 * accumulate, 2, 2, 1), dtype=np.uint8)
    labels = np.array([[2, 0], [2, 0], [1, 1], [0, 2], [1, 0], [0, 0]], np.int32)
    labels = np.repeat(labels, accumulate, axis=1)
    probed = Pixels(TASK)
    state, metrics = make_step(probed, accumulate)(
        init_state(probed, jax.random.key(0)),
        {"images": {"image": jnp.asarray(images), "label": jnp.asarray(labels)}},
    )
    # From zero, all classes are alike, and the first is named; four of six labels are it.
    assert float(metrics["probe/loss"]) == pytest.approx(np.log(3), rel=1e-6)
    assert float(metrics["probe/accuracy"]) == pytest.approx(4 / 6)
    # The features are those of the second update, and so must the labels be; one update of the
    # probe is on all of them.
    features = images[:, accumulate:].reshape(-1, 4) / 255.0
    wrong = 1 / 3 - np.eye(3)[labels[:, accumulate:].ravel()]
    # Adam's first step has the length of the learning rate, whatever the gradient's.
    np.testing.assert_allclose(
        state.params["probe"]["kernel"], -0.5 * np.sign(features.T @ wrong), rtol=1e-4
    )
    np.testing.assert_allclose(
        state.params["probe"]["bias"], -0.5 * np.sign(wrong.sum(0)), rtol=1e-4
    )


def test_a_method_that_carries_no_features_takes_no_probe():
    method = Pixels(TASK)
    method.players = method.players[::-1]
    batch = {"images": {"image": jnp.zeros((6, 2, 2, 2, 1), jnp.uint8)}}
    with pytest.raises(ValueError, match="'probe' needs 'features', which no player before it"):
        jax.eval_shape(make_step(method), init_state(method, jax.random.key(0)), batch)


def test_data_without_labels_is_refused():
    with pytest.raises(ValueError, match="labels"):
        Pixels(dataclasses.replace(TASK, num_classes=None))
