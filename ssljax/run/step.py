"""The training state of a method, and the one step that all methods share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from ssljax.methods.contract import Aux, Batch, Method, Player, TrainState, Turn

__all__ = ["TrainState", "has_fast_control_flow", "init_state", "make_step"]

PyTree = Any
Metrics = dict[str, Array]


def init_state(method: Method, key: PRNGKeyArray) -> TrainState:
    """Makes the state of an untrained method.

    Args:
      method: Method whose networks are initialised.
      key: The run's random key. Initialisation and training use separate streams of it.

    Returns:
      The state at step 0.
    """
    init_key, run_key = jax.random.split(key)
    params, variables, memory = method.init(init_key)
    params = params | {p.name: p.init() for p in method.players if p.init is not None}
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


def make_step(
    method: Method, accumulate: int = 1
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Builds the train step of a method: each player is updated in turn, then `after_step` runs.

    Args:
      method: Any method of the contract.
      accumulate: Batches whose gradients are averaged for one update. Targets, queues and schedules
        move once a train step, whatever this number is. Batch statistics and the negatives of a
        contrastive loss are those of each batch alone.

    Returns:
      `step(state, batch) -> (state, metrics)`, pure and not yet jitted. The batch's arrays are
      (batch, updates * accumulate, ...): the second axis holds the fresh data of each update, so
      that taking one moves nothing between devices. Metrics are named `<player>/<metric>`.
    """
    batches = accumulate * max(player.updates for player in method.players)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        for path, array in jax.tree_util.tree_leaves_with_path(batch):
            if array.shape[1] != batches:
                name = jax.tree_util.keystr(path, simple=True, separator="/")
                raise ValueError(
                    f"A train step takes {batches} batches, and {name!r} has {array.shape[1]} on "
                    "its second axis."
                )
        views_key, players_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        state = method.before_step(state)

        def look(number: Any) -> tuple[PyTree, Batch]:
            taken = jax.tree.map(
                lambda x: jax.lax.dynamic_index_in_dim(x, number, axis=1, keepdims=False), batch
            )
            return method.views(jax.random.fold_in(views_key, number), taken), taken

        seen: Callable[[Any], tuple[PyTree, Batch]] = look  # Made for one batch at a time.
        if accumulate == 1:
            seen = [look(number) for number in range(batches)].__getitem__  # Players share them.
        carried: dict[str, PyTree] = {}
        carried_of: dict[str, range] = {}
        metrics: Metrics = {}
        for place, player in enumerate(method.players):
            key = jax.random.fold_in(players_key, place)
            for first in range(0, player.updates * accumulate, accumulate):
                numbers = range(first, first + accumulate)
                if player.beside is not None:
                    if player.beside not in carried_of:
                        raise ValueError(
                            f"The player {player.name!r} needs {player.beside!r}, which no player "
                            "before it carries."
                        )
                    numbers = carried_of[player.beside]
                state, moved = _move(player, state, numbers, seen, key, carried)
            carried = carried | moved.carry
            carried_of |= dict.fromkeys(moved.carry, numbers)
            metrics |= {f"{player.name}/{name}": x for name, x in moved.metrics.items()}
        state = method.after_step(state, jax.tree.map(_join, carried))
        return state.replace(step=state.step + 1), metrics

    return step


def _move(
    player: Player,
    state: TrainState,
    numbers: range,
    seen: Callable[[Any], tuple[PyTree, Batch]],
    key: PRNGKeyArray,
    carried: Mapping[str, PyTree],
) -> tuple[TrainState, Aux]:
    """One update of one player; of the state, only that player's entries and the memory change.

    Args:
      player: The player.
      state: The state before.
      numbers: The step's batches that the update takes.
      seen: Gives the views of a batch, and the batch, by its number.
      key: Key of this player in this step.
      carried: What earlier players have carried; each array has an axis of the batches in front.

    Returns:
      The new state, and what the losses returned: means of metrics, and arrays as in `carried`.
    """

    def learn(params: PyTree, state: TrainState, part: int | Array) -> tuple[PyTree, Aux]:
        """Gradient and by-products on one of the batches; the loss is the first metric."""
        number = numbers.start + part
        views, batch = seen(number)
        turn = Turn(
            state=state,
            views=views,
            key=jax.random.fold_in(key, number),
            batch=batch,
            carried=jax.tree.map(lambda x: x[part], carried),
        )
        (loss, aux), grads = jax.value_and_grad(player.loss, has_aux=True)(params, turn)
        return grads, aux.replace(metrics={"loss": loss} | aux.metrics)

    def move(state: TrainState) -> tuple[TrainState, Aux]:
        params = state.params[player.name]
        if player.project is not None:
            params = player.project(params)
        grads, aux = _mean(functools.partial(learn, params), player.name, state, len(numbers))
        updates, opt_state = optax.with_extra_args_support(player.tx).update(
            grads, state.opt_state[player.name], params, step=state.step
        )
        params = optax.apply_updates(params, updates)
        metrics = {
            "grad_norm": optax.tree.norm(grads),
            "update_norm": optax.tree.norm(updates),
            "param_norm": optax.tree.norm(params),
        }
        if player.schedule is not None:
            metrics["learning_rate"] = player.schedule(state.step)
        state = _with_changes(state, player.name, aux).replace(
            params=state.params | {player.name: params},
            opt_state=state.opt_state | {player.name: opt_state},
        )
        return state, aux.replace(metrics=metrics | aux.metrics)

    if player.active is None:
        return move(state)

    _, aux = jax.eval_shape(move, state)
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), aux)
    moves = player.active(state.step)
    if has_fast_control_flow():
        return jax.lax.cond(moves, move, lambda state: (state, nothing), state)
    # A move in vain takes less time than one in a branch.
    return jax.tree.map(functools.partial(jnp.where, moves), move(state), (state, nothing))


def _mean(
    learn: Callable[[TrainState, Any], tuple[PyTree, Aux]], name: str, state: TrainState, count: int
) -> tuple[PyTree, Aux]:
    """The gradient and the metrics of a player as means over batches, and what is carried of each.

    Batch statistics, and everything else that a batch changes, are passed from one batch to the
    next.
    """
    if count == 1:
        grads, aux = learn(state, 0)
        return grads, aux.replace(carry=jax.tree.map(lambda x: x[None], aux.carry))
    grads, aux = jax.eval_shape(learn, state, 0)
    own = state.variables[name]
    start = Aux(
        variables={key: own[key] for key in aux.variables},
        memory={key: state.memory[key] for key in aux.memory},
    )
    sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (grads, aux.metrics))

    def body(now: tuple[Aux, PyTree], part: Array) -> tuple[tuple[Aux, PyTree], PyTree]:
        changed, sums = now
        grads, aux = learn(_with_changes(state, name, changed), part)
        sums = jax.tree.map(jnp.add, sums, (grads, aux.metrics))
        return (aux.replace(metrics={}, carry={}), sums), aux.carry

    (changed, sums), carry = jax.lax.scan(
        body, (start, sums), jnp.arange(count), unroll=not has_fast_control_flow()
    )
    grads, metrics = jax.tree.map(lambda x: x / count, sums)
    return grads, changed.replace(metrics=metrics, carry=carry)


def has_fast_control_flow() -> bool:
    """Whether convolutions in loops and branches are as fast as elsewhere.

    On a CPU XLA makes them an order of magnitude slower. There accumulated batches are not the
    rounds of a loop, and a player that rests in some steps moves in vain.
    """
    return jax.default_backend() != "cpu"


def _with_changes(state: TrainState, name: str, changes: Aux) -> TrainState:
    """The state with the variables and memory that a player's loss has changed."""
    variables = state.variables | {name: state.variables[name] | changes.variables}
    memory = state.memory | changes.memory if changes.memory else state.memory
    return state.replace(variables=variables, memory=memory)


def _join(x: Array) -> Array:
    """(batches, batch, ...) as (batch * batches, ...), which moves nothing between devices."""
    return jnp.moveaxis(x, 0, 1).reshape(-1, *x.shape[2:])
