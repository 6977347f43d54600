"""The training state of a method, and the one step that all methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from ssljax.methods.contract import Aux, Batch, Method, Player, TrainState

__all__ = ["TrainState", "init_state", "make_step"]

PyTree = Any
Metrics = dict[str, Array]


def init_state(method: Method, key: PRNGKeyArray) -> TrainState:
    """Makes the state of an untrained method.

    Args:
      method: Method whose networks are initialised.
      key: The run's random key. Initialisation and training use streams of it that never meet.

    Returns:
      The state at step 0.
    """
    init_key, run_key = jax.random.split(key)
    params, variables, memory = method.init(init_key)
    names = [player.name for player in method.players]
    if sorted(params) != sorted(names):
        raise ValueError(f"init made parameters for {sorted(params)}, the players are {names}")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        variables={name: variables.get(name, {}) for name in names},
        opt_state={player.name: player.tx.init(params[player.name]) for player in method.players},
        memory=memory,
        key=run_key,
    )


def make_step(method: Method) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Builds the train step of a method: each player moves in its turn, then `after_step`.

    Args:
      method: Any method of the contract.

    Returns:
      `step(state, batch) -> (state, metrics)`, pure and not yet jitted. The batch's arrays are
      (batch, updates, ...): the second axis holds the fresh data of each update, so that taking
      one moves nothing between devices. Metrics are named `<player>/<metric>`.
    """
    updates = max(player.updates for player in method.players)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        views_key, players_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        views = [
            method.views(
                jax.random.fold_in(views_key, update),
                {name: array[:, update] for name, array in batch.items()},
            )
            for update in range(updates)
        ]
        carried: dict[str, PyTree] = {}
        metrics: Metrics = {}
        for number, player in enumerate(method.players):
            player_key = jax.random.fold_in(players_key, number)
            for update in range(player.updates):
                key = jax.random.fold_in(player_key, update)
                state, moved = _move(player, state, views[update], key, carried)
            carried = carried | moved.carry
            metrics |= {f"{player.name}/{name}": x for name, x in moved.metrics.items()}
        state = method.after_step(state, carried)
        return state.replace(step=state.step + 1), metrics

    return step


def _move(
    player: Player,
    state: TrainState,
    views: PyTree,
    key: PRNGKeyArray,
    carried: Mapping[str, PyTree],
) -> tuple[TrainState, Aux]:
    """One update of one player; of the state, only that player's entries change."""

    def move(state: TrainState) -> tuple[TrainState, Aux]:
        params = state.params[player.name]
        if player.project is not None:
            params = player.project(params)
        (loss, aux), grads = jax.value_and_grad(player.loss, has_aux=True)(
            params, state, views, key, carried
        )
        updates, opt_state = player.tx.update(grads, state.opt_state[player.name], params)
        params = optax.apply_updates(params, updates)
        metrics = {
            "loss": loss,
            "grad_norm": optax.tree.norm(grads),
            "update_norm": optax.tree.norm(updates),
            "param_norm": optax.tree.norm(params),
        }
        if player.schedule is not None:
            metrics["learning_rate"] = player.schedule(state.step)
        state = state.replace(
            params=state.params | {player.name: params},
            variables=state.variables | {player.name: state.variables[player.name] | aux.variables},
            opt_state=state.opt_state | {player.name: opt_state},
        )
        return state, aux.replace(metrics=metrics | aux.metrics)

    if player.active is None:
        return move(state)

    def rest(state: TrainState) -> tuple[TrainState, Aux]:
        _, aux = jax.eval_shape(move, state)
        return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), aux)

    return jax.lax.cond(player.active(state.step), move, rest, state)
