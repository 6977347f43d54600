"""The contract and the shared step, shown on games small enough to work out by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssljax.methods.contract import Aux, Method, Phase, Player, every, phase_at
from ssljax.optimizers import scale_by_step
from ssljax.run.step import init_state, make_step


class Quadratic(Method):
    """One parameter w pulled towards the mean of the batch: loss (w - mean)^2, plain descent."""

    def __init__(self, **player):
        self.players = (Player("one", self.loss, optax.sgd(0.25), **player),)

    def init(self, key):
        return {"one": jnp.ones(())}, {"one": {"batch_stats": jnp.zeros(())}}, jnp.zeros(())

    def views(self, key, batch):
        return batch["images"]["image"]

    def loss(self, params, turn):
        mean = jnp.mean(turn.views)
        seen = turn.state.variables["one"]["batch_stats"] + 1
        return (params - mean) ** 2, Aux(
            variables={"batch_stats": seen}, metrics={"mean": mean}, carry={"rows": turn.views}
        )

    def after_step(self, state, carried):
        return state.replace(memory=state.memory + jnp.mean(carried["rows"]))


def _batch(*means):
    """A batch of two rows whose update u has the mean means[u]."""
    return {"images": {"image": jnp.stack([jnp.asarray(means, jnp.float32)] * 2)}}


def test_one_step_is_one_gradient_step_then_after_step():
    method = Quadratic()
    state, metrics = jax.jit(make_step(method))(init_state(method, jax.random.key(0)), _batch(3.0))
    # w - 0.25 * 2 (w - mean) = 1 - 0.5 * (1 - 3) = 2
    assert float(state.params["one"]) == 2.0
    assert float(state.variables["one"]["batch_stats"]) == 1.0
    assert float(state.memory) == 3.0
    assert int(state.step) == 1
    assert float(metrics["one/loss"]) == 4.0
    assert float(metrics["one/mean"]) == 3.0
    assert float(metrics["one/grad_norm"]) == 4.0
    assert float(metrics["one/update_norm"]) == 1.0


def test_each_update_of_a_player_sees_fresh_data():
    method = Quadratic(updates=3)
    state, metrics = make_step(method)(init_state(method, jax.random.key(0)), _batch(3.0, 0.0, 8.0))
    # 1 -> 2 -> 1 -> 4.5, each halfway to the update's own mean
    assert float(state.params["one"]) == 4.5
    assert float(state.variables["one"]["batch_stats"]) == 3.0
    assert float(metrics["one/mean"]) == 8.0


@pytest.mark.parametrize("loops", [False, True])
def test_accumulated_batches_make_one_update_and_one_step(loops, monkeypatch):
    monkeypatch.setattr("ssljax.run.step.has_fast_control_flow", lambda: loops)
    method = Quadratic(updates=2)
    step = jax.jit(make_step(method, accumulate=2))
    state = init_state(method, jax.random.key(0))
    state, metrics = step(state, _batch(3.0, 7.0, -2.0, 2.0))
    # w = 1: the gradients -4 and -12 lead to 3. From there 10 and 2 lead to 1.5.
    assert float(state.params["one"]) == 1.5
    assert float(metrics["one/grad_norm"]) == 6.0
    assert float(metrics["one/loss"]) == (25 + 1) / 2
    assert float(metrics["one/mean"]) == 0.0
    # Statistics go from batch to batch; the rest goes by the step.
    assert float(state.variables["one"]["batch_stats"]) == 4.0
    assert float(state.memory) == 0.0
    assert int(state.step) == 1


class Keeps(Quadratic):
    """Two players; what the first carries and changes is seen by the second and after the step."""

    def __init__(self):
        self.players = (
            Player("one", self.loss, optax.sgd(0.25)),
            Player("two", self.second, optax.sgd(1.0)),
        )

    def init(self, key):
        params = {"one": jnp.ones(()), "two": jnp.zeros(())}
        return params, {}, {"begun": jnp.zeros(()), "passes": jnp.zeros(()), "rows": jnp.zeros(8)}

    def before_step(self, state):
        return state.replace(memory=state.memory | {"begun": state.params["one"]})

    def loss(self, params, turn):
        passes = turn.state.memory["passes"] + 1
        begun = turn.state.memory["begun"]
        return (params - begun - 2.0) ** 2, Aux(
            carry={"rows": turn.views}, memory={"passes": passes}
        )

    def second(self, params, turn):
        # Of the same images, though another player's loss has carried them.
        return params * jnp.mean(turn.carried["rows"] * turn.views), Aux()

    def after_step(self, state, carried):
        return state.replace(memory=state.memory | {"rows": carried["rows"]})


@pytest.mark.parametrize("loops", [False, True])
def test_what_losses_carry_is_joined_and_what_they_change_is_handed_on(loops, monkeypatch):
    monkeypatch.setattr("ssljax.run.step.has_fast_control_flow", lambda: loops)
    method = Keeps()
    image = jnp.asarray([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    step = jax.jit(make_step(method, accumulate=4))
    state = init_state(method, jax.random.key(0))
    for number in (1, 2):
        state, _ = step(state, {"images": {"image": image}})
        # One step of before_step, one update: w goes half the way to where it began plus 2.
        assert float(state.memory["begun"]) == float(number)
        assert float(state.params["one"]) == number + 1.0
        assert float(state.memory["passes"]) == 4.0 * number
        assert sorted(state.memory["rows"].tolist()) == sorted(image.ravel().tolist())
        mean_square = float(jnp.mean(image**2))
        assert float(state.params["two"]) == pytest.approx(-number * mean_square)


def test_a_batch_of_another_number_of_updates_is_refused():
    method = Quadratic()
    with pytest.raises(
        ValueError, match="takes 2 batches, and 'images/image' has 3 on its second axis"
    ):
        make_step(method, accumulate=2)(init_state(method, jax.random.key(0)), _batch(1, 2, 3))


def test_schedules_go_by_the_train_step_for_a_player_that_rests_or_moves_more_than_once():
    def rate(step):
        return 0.01 * (jnp.asarray(step, jnp.float32) + 1)

    tx = optax.chain(optax.trace(0.0), scale_by_step(lambda step: -rate(step)))
    method = Quadratic(updates=2, active=every(3), schedule=rate)
    method.players = (dataclasses.replace(method.players[0], tx=tx),)
    step, state = jax.jit(make_step(method)), init_state(method, jax.random.key(0))
    for number in range(7):
        state, metrics = step(state, _batch(3.0, 5.0))
        moved = 0.01 * (number + 1) if number % 3 == 0 else 0.0
        assert float(metrics["one/learning_rate"]) == pytest.approx(moved, rel=1e-5)
        used = metrics["one/update_norm"] / jnp.maximum(metrics["one/grad_norm"], 1e-9)
        assert float(used) == pytest.approx(moved, rel=1e-5)


@pytest.mark.parametrize("fast", [False, True])
def test_a_resting_player_changes_nothing(fast, monkeypatch):
    monkeypatch.setattr("ssljax.run.step.has_fast_control_flow", lambda: fast)
    method = Quadratic(active=every(3))
    step = jax.jit(make_step(method))
    state = init_state(method, jax.random.key(0))
    path = []
    for _ in range(6):
        state, metrics = step(state, _batch(3.0))
        path.append((float(state.params["one"]), float(metrics["one/loss"])))
    assert path == [(2.0, 4.0), (2.0, 0.0), (2.0, 0.0), (2.5, 1.0), (2.5, 0.0), (2.5, 0.0)]


def test_what_a_resting_player_computes_in_vain_reaches_nothing():
    class Breaks(Quadratic):
        def loss(self, params, turn):
            loss, aux = super().loss(params, turn)
            broken = jnp.where(turn.state.step % 3 == 0, 1.0, jnp.nan)
            return loss * broken, aux.replace(metrics={"mean": aux.metrics["mean"] * broken})

    method = Breaks(active=every(3))
    step, state = jax.jit(make_step(method)), init_state(method, jax.random.key(0))
    for _ in range(6):
        state, metrics = step(state, _batch(3.0))
    assert float(state.params["one"]) == 2.5
    assert {float(metrics[f"one/{name}"]) for name in ("loss", "mean", "grad_norm")} == {0.0}


def test_parameters_are_projected_before_the_update():
    method = Quadratic(project=lambda w: jnp.clip(w, -0.5, 0.5))
    state, _ = make_step(method)(init_state(method, jax.random.key(0)), _batch(3.0))
    # clipped from 1 to 0.5 first, then halfway to 3
    assert float(state.params["one"]) == 1.75


def test_initialisation_must_cover_exactly_the_players():
    method = Quadratic()
    method.init = lambda key: ({"other": jnp.ones(())}, {}, ())
    with pytest.raises(ValueError, match="'other'"):
        init_state(method, jax.random.key(0))


class ToyGan(Method):
    """A 1-D Wasserstein GAN: real data N(3, 0.5); G(z) = shift + scale * z; a clipped MLP critic.

    Five critic updates, each on fresh data and after weight clipping, to one of the generator.
    """

    hidden = 16

    def __init__(self):
        self.players = (
            Player(
                "critic",
                self.critic_loss,
                optax.rmsprop(5e-3),
                updates=5,
                project=lambda p: jax.tree.map(lambda w: jnp.clip(w, -0.5, 0.5), p),
            ),
            Player("generator", self.generator_loss, optax.rmsprop(1e-2)),
        )

    def init(self, key):
        a, b = jax.random.split(key)
        critic = {
            "w1": 0.3 * jax.random.normal(a, (1, self.hidden)),
            "b1": jnp.zeros((self.hidden,)),
            "w2": 0.3 * jax.random.normal(b, (self.hidden, 1)),
        }
        return (
            {"critic": critic, "generator": {"shift": jnp.zeros(()), "scale": jnp.ones(())}},
            {},
            (),
        )

    def views(self, key, batch):
        return batch["images"]["image"]

    @staticmethod
    def critic(params, x):
        return jnp.tanh(x[:, None] @ params["w1"] + params["b1"][None]) @ params["w2"]

    @staticmethod
    def generate(params, key, n):
        return params["shift"] + params["scale"] * jax.random.normal(key, (n,))

    def critic_loss(self, params, turn):
        fake = self.generate(turn.state.params["generator"], turn.key, turn.views.shape[0])
        gap = jnp.mean(self.critic(params, turn.views)) - jnp.mean(self.critic(params, fake))
        return -gap, Aux(metrics={"distance": gap})

    def generator_loss(self, params, turn):
        fake = self.generate(params, turn.key, turn.views.shape[0])
        return -jnp.mean(self.critic(turn.state.params["critic"], fake)), Aux()


def test_a_two_player_game_with_five_critic_updates_learns_its_data():
    method = ToyGan()
    step = jax.jit(make_step(method))
    state = init_state(method, jax.random.key(0))
    rng = np.random.default_rng(0)
    path = []
    for _ in range(1500):
        real = rng.normal(3.0, 0.5, (128, 5)).astype(np.float32)
        state, _ = step(state, {"images": {"image": jnp.asarray(real)}})
        path.append([float(state.params["generator"][name]) for name in ("shift", "scale")])
    # The game circles its solution, and a clipped critic says little of the spread: from N(0, 1) it
    # finds where the data are, and that they are narrower.
    shift, scale = np.mean(np.abs(path[500:]), axis=0)
    assert shift == pytest.approx(3.0, abs=0.1)
    assert scale < 0.8
    # Clipping comes before each update, so one RMSprop step of at most ~lr/sqrt(1-decay) is on top.
    assert max(float(jnp.max(jnp.abs(w))) for w in jax.tree.leaves(state.params["critic"])) < 0.52


def test_a_player_moves_only_its_own_parameters():
    method = ToyGan()
    state = init_state(method, jax.random.key(0))
    critic_alone = ToyGan()
    critic_alone.players = critic_alone.players[:1]
    real = np.random.default_rng(0).normal(3.0, 0.5, (8, 5)).astype(np.float32)
    after, _ = jax.jit(make_step(critic_alone))(state, {"images": {"image": jnp.asarray(real)}})
    for name in ("params", "opt_state"):
        before, now = getattr(state, name)["generator"], getattr(after, name)["generator"]
        assert all(map(np.array_equal, jax.tree.leaves(before), jax.tree.leaves(now)))
    assert not np.array_equal(after.params["critic"]["w1"], state.params["critic"]["w1"])


def test_phases_begin_where_the_ones_before_end():
    phases = (Phase("8 px", 3), Phase("16 px fade", 2), Phase("16 px", 1))
    found = [phase_at(phases, step) for step in range(8)]
    assert found == [(0, 0)] * 3 + [(1, 3)] * 2 + [(2, 5)] * 3
    assert phase_at((), 7) == (0, 0)
