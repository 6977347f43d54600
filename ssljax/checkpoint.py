"""Checkpoints of a training state. Nothing else in ssljax knows Orbax."""

from __future__ import annotations

import itertools
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from ssljax.errors import UserError

PyTree = Any
_log = logging.getLogger(__name__)
_STATE = "state"
_CHECKSUM = "checksum"


class Checkpoints:
    """The checkpoints of one run: saved in the background, newest and best kept.

    Args:
      directory: Where they lie; made when the first one is saved.
      keep: How many of the newest are kept.
      best: Name of the score by which one more, the best, is kept; empty for none. Higher is
        better. It is there to be looked at: no result is ever read from it.
    """

    def __init__(self, directory: pathlib.Path, keep: int = 2, best: str = "") -> None:
        self._directory = directory.absolute()
        policies: list[Any] = [checkpoint_managers.LatestN(keep)]
        if best:
            policies.append(
                checkpoint_managers.BestN(
                    get_metric_fn=lambda scores: scores.get(best, float("-inf")),
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
            best_fn=(lambda scores: scores.get(best, float("-inf"))) if best else None,
            cleanup_tmp_directories=True,
            enable_async_checkpointing=True,
        )
        self._manager = ocp.CheckpointManager(
            self._directory,
            item_handlers={
                _STATE: ocp.StandardCheckpointHandler(),
                _CHECKSUM: ocp.JsonCheckpointHandler(),
            },
            options=options,
        )

    def steps(self) -> list[int]:
        """The steps that have a finished checkpoint, in order."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: PyTree, scores: Mapping[str, float] | None = None) -> None:
        """Starts saving the state under its step; returns once the arrays are off the devices.

        Args:
          step: Finished train steps; a step that is already saved is left as it is.
          state: The training state.
          scores: Evaluation scores at this step, if there are any.
        """
        if step in self._manager.all_steps():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                **{
                    _STATE: ocp.args.StandardSave(state),
                    _CHECKSUM: ocp.args.JsonSave({"sum": int(_checksum(state))}),
                }
            ),
            metrics=dict(scores or {}),
            force=True,
        )

    def restore(self, abstract_state: PyTree, step: int | None = None) -> PyTree | None:
        """Reads the newest checkpoint that is whole, onto any mesh.

        A damaged one is named in the log, set aside under the name `<step>.damaged`, and the one
        before it is taken.

        Args:
          abstract_state: Shapes, types and shardings that the state shall have
            (`jax.ShapeDtypeStruct` leaves); they need not be those it was saved with.
          step: Only this one; None for the newest.

        Returns:
          The state, or None if there is no checkpoint at all.

        Raises:
          UserError: if a checkpoint is of another model, if `step` is not there, or if every
            checkpoint is damaged.
        """
        steps = self.steps()
        if step is not None and step not in steps:
            raise UserError(
                f"No checkpoint of step {step} in {self._directory}: there are {steps or 'none'}."
            )
        wanted = steps if step is None else [step]
        damaged: list[int] = []
        for candidate in reversed(wanted):
            try:
                self._check_model(candidate, abstract_state)
                saved = self._manager.restore(
                    candidate,
                    args=ocp.args.Composite(
                        **{
                            _STATE: ocp.args.StandardRestore(abstract_state),
                            _CHECKSUM: ocp.args.JsonRestore(),
                        }
                    ),
                )
                if saved[_CHECKSUM]["sum"] != int(_checksum(saved[_STATE])):
                    raise OSError("its arrays are not those that were saved")
            except UserError:
                raise
            except Exception as error:  # Orbax and TensorStore tell damage by many types.
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                _log.warning(
                    "The checkpoint of step %d in %s is damaged: %s",
                    candidate,
                    self._directory,
                    reason,
                )
                damaged.append(candidate)
            else:
                self._set_aside(damaged)
                return saved[_STATE]
        if damaged:
            raise UserError(
                f"No checkpoint in {self._directory} can be read (damaged: {damaged}): restore one "
                "from a copy, or start again in another workdir."
            )
        return None

    def close(self) -> None:
        """Waits until what is being saved is saved."""
        self._manager.wait_until_finished()
        self._manager.close()

    def wait(self) -> None:
        """Waits until what is being saved is saved."""
        self._manager.wait_until_finished()

    def _check_model(self, step: int, abstract_state: PyTree) -> None:
        """Raises a UserError if the saved tree has other arrays than the wanted one."""
        metadata = self._manager.item_metadata(step)[_STATE]
        if metadata is None:
            raise OSError("its metadata cannot be read")
        saved = _shapes(metadata)
        wanted = _shapes(abstract_state)
        for path in sorted(saved.keys() | wanted.keys()):
            if saved.get(path) != wanted.get(path):
                raise UserError(
                    f"The checkpoint of step {step} in {self._directory} is of another model: "
                    f"{path} is {saved.get(path, 'absent')} there and {wanted.get(path, 'absent')} "
                    "here; use the config it was trained with, or another workdir."
                )

    def _set_aside(self, steps: Sequence[int]) -> None:
        """Renames damaged checkpoints, so that their steps can be saved again and none is lost."""
        if not steps:
            return
        if jax.process_index() == 0:
            for step in steps:
                names = (f"{step}.damaged{n or ''}" for n in itertools.count())
                free = next(n for n in names if not (self._directory / n).exists())
                (self._directory / str(step)).rename(self._directory / free)
        multihost_utils.sync_global_devices("damaged checkpoints are set aside")
        self._manager.reload()


@jax.jit
def _checksum(state: PyTree) -> jax.Array:
    """The sum of all bytes, modulo 2**32: the same on every mesh, and cheap on the devices."""
    total = jnp.zeros((), jnp.uint32)
    for leaf in jax.tree.leaves(state):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if leaf.dtype == jnp.bool_:
            leaf = leaf.astype(jnp.uint8)
        octets = jax.lax.bitcast_convert_type(leaf, jnp.uint8)
        total = total + jnp.sum(octets.astype(jnp.uint32), dtype=jnp.uint32)
    return total


def _shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a tree by its path, whatever the containers are."""

    def name(entry: Any) -> str:
        return str(getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", entry))))

    def shape(leaf: Any) -> tuple[int, ...]:
        if jax.dtypes.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key):
            return tuple(jax.eval_shape(jax.random.key_data, leaf).shape)
        return tuple(leaf.shape)

    return {
        "/".join(map(name, path)): shape(leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        if hasattr(leaf, "shape")
    }
