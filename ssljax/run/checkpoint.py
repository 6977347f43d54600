"""Checkpoints of a training state. Nothing else in ssljax knows Orbax."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from ssljax import paths
from ssljax.errors import StoppedError, UserError, brief, free_space
from ssljax.run import late_writes, staging

PyTree = Any
_log = logging.getLogger(__name__)
_STATE = "state"
_CHECKSUM = "checksum"
_UNFINISHED = "*.orbax-checkpoint-tmp*"
_COMMITTED = "commit_success.txt"


def saved_steps(directory: paths.Path) -> list[int]:
    """The steps that a run has saved, in order, without opening them."""
    if staging.is_needed(directory):
        return list(staging.saved(directory))
    steps = [int(name) for name in paths.children(directory) if name.isdigit()]
    if paths.is_remote(directory):  # There, what is being written has its name already.
        steps = [step for step in steps if (directory / str(step) / _COMMITTED).exists()]
    return sorted(steps)


class Checkpoints:
    """The checkpoints of one run: saved in the background, newest and best kept.

    Args:
      directory: Where they lie, on a disk or in a bucket; made when the first one is saved.
      keep: How many of the newest are kept.
      best: Name of the score by which one more, the best, is kept; empty for none. Higher is
        better. It is kept for inspection: no result is ever read from it.
      read_only: Whether nothing in the directory may change, as another process may be training in
        it.
    """

    def __init__(
        self, directory: paths.Path, keep: int = 2, best: str = "", read_only: bool = False
    ) -> None:
        self._place = directory if paths.is_remote(directory) else directory.absolute()
        self._directory = self._place
        self._read_only, self._saving = read_only, -1
        self._manager: Any = None
        self._staging: staging.Staging | None = None
        if read_only and not saved_steps(directory):
            return
        shared = ocp.options.MultiprocessingOptions()
        waiting = ocp.options.AsyncOptions()
        if staging.is_needed(directory):
            self._staging = staging.Staging(directory)
            self._directory = self._staging.directory
            shared = ocp.options.MultiprocessingOptions(primary_host=None)
            # What is staged is one process's own: its threads wait for no other's.
            waiting = ocp.options.AsyncOptions(barrier_sync_fn=lambda *, key, timeout_ms: None)
            for step in saved_steps(directory)[-1 if read_only else 0 :]:
                self._staging.pull(step)
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
            enable_async_checkpointing=True,
            async_options=waiting,
            multiprocessing_options=shared,
        )
        self._manager = ocp.CheckpointManager(
            self._directory,
            item_handlers={
                # Staged parts of several processes are put together as files of single chunks.
                _STATE: ocp.StandardCheckpointHandler(
                    multiprocessing_options=shared, use_ocdbt=self._staging is None
                ),
                _CHECKSUM: ocp.JsonCheckpointHandler(multiprocessing_options=shared),
            },
            options=options,
        )

    def steps(self) -> list[int]:
        """The steps that have a finished checkpoint, in order."""
        if self._manager is None:
            return []
        elsewhere = staging.saved(self._place) if self._staging is not None else {}
        return sorted({*self._manager.all_steps(), *elsewhere})

    def save(self, step: int, state: PyTree, scores: Mapping[str, float] | None = None) -> None:
        """Starts saving the state under its step; returns once the arrays are off the devices.

        Args:
          step: Finished train steps; a step that is already saved is left as it is.
          state: The training state.
          scores: Evaluation scores at this step, if there are any.

        Raises:
          FloatingPointError: If an array of the state is not finite; nothing is saved.
          StoppedError: If this checkpoint, or the one before it, cannot be written.
        """
        if step in self._manager.all_steps():
            return
        checksum, finite = _inspect(state)
        broken = _first_broken(state, finite)
        if broken:
            raise FloatingPointError(f"{broken} is not finite")
        self.wait()
        with self._told(step):
            self._remove_unfinished()
            self._saving = step
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    **{
                        _STATE: ocp.args.StandardSave(state),
                        _CHECKSUM: ocp.args.JsonSave({"sum": int(checksum)}),
                    }
                ),
                metrics=dict(scores or {}),
                force=True,
            )
        if self._staging is not None:
            self._staging.push_after(self._manager.wait_until_finished)

    def restore(self, abstract_state: PyTree, step: int | None = None) -> PyTree | None:
        """Reads the newest checkpoint that is whole, onto any mesh.

        A damaged one, or one that holds numbers that are not finite, is named in the log, set aside
        under the name `<step>.damaged`, and the one before it is taken. In a bucket it is copied
        to that name within the store.

        Args:
          abstract_state: Shapes, types and shardings that the state shall have
            (`jax.ShapeDtypeStruct` leaves); they need not be those it was saved with.
          step: Only this one; None for the newest.

        Returns:
          The state, or None if there is no checkpoint at all.

        Raises:
          UserError: If a checkpoint is of another model, if `step` is not there, if every
            checkpoint is damaged, or if the store that they lie in is out of reach.
        """
        steps = self.steps()
        if step is not None and step not in steps:
            raise UserError(
                f"No checkpoint of step {step} in {self._place}: there are {steps or 'none'}."
            )
        wanted = steps if step is None else [step]
        damaged: list[int] = []
        for candidate in reversed(wanted):
            try:
                self._fetch(candidate)
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
                checksum, finite = _inspect(saved[_STATE])
                if saved[_CHECKSUM]["sum"] != int(checksum):
                    raise OSError("its arrays are not those that were saved")
                broken = _first_broken(saved[_STATE], finite)
                if broken:
                    raise OSError(f"{broken} is not finite")
            except UserError:
                raise
            except Exception as error:  # Orbax and TensorStore raise many types for damage.
                if paths.is_remote(self._place):
                    paths.resolve(self._place)  # A store that is out of reach is no damage.
                _log.warning(
                    "The checkpoint of step %d in %s is damaged: %s",
                    candidate,
                    self._place,
                    _reason(error),
                )
                damaged.append(candidate)
            else:
                self._set_aside(damaged)
                return saved[_STATE]
        if damaged:
            raise UserError(
                f"No checkpoint in {self._place} can be read (damaged: {damaged}): restore one "
                "from a copy, or start again in another workdir."
            )
        return None

    def close(self) -> None:
        """Waits until what is being saved is saved.

        Raises:
          StoppedError: If it cannot be written, and that was not reported yet.
        """
        if self._manager is None:
            return
        try:
            self.wait()
        finally:
            with contextlib.suppress(Exception):  # It raises again what was reported already.
                self._manager.close()
            if self._staging is not None:
                self._staging.close()

    def wait(self) -> None:
        """Waits until what is being saved is saved.

        Raises:
          StoppedError: If it cannot be written.
        """
        if self._manager is not None:
            with self._told(self._saving):
                if self._staging is not None:
                    self._staging.wait()
                self._manager.wait_until_finished()

    @contextlib.contextmanager
    def _told(self, step: int) -> Iterator[None]:
        """Says in one sentence why a checkpoint cannot be written."""
        try:
            yield
        except Exception as error:  # Orbax and TensorStore raise many types for it.
            on_disk = not paths.is_remote(self._directory)
            room = f", where {free_space(self._directory)}" if on_disk else ""
            if on_disk:
                self._remove_unfinished()
            # Orbax has already dropped from its list those that it meant to remove after this one.
            self._manager.reload()
            saved = [found for found in self.steps() if found != step]
            raise StoppedError(
                f"The checkpoint of step {step} cannot be written to {self._place}{room} "
                f"({_reason(error)}): {'make room' if room else 'mend that'} and start again, "
                + (f"to go on from the checkpoint of step {saved[-1]}." if saved
                   else "from the beginning, as there is no checkpoint yet.")
            ) from error  # fmt: skip

    def _remove_unfinished(self) -> None:
        """Removes what interrupted saves have left."""
        # Orbax would do so in a thread, and that outlives a run that ends before it saves.
        if jax.process_index():
            return
        if not paths.is_remote(self._directory):
            for path in self._directory.glob(_UNFINISHED):
                late_writes.remove(path)
            return
        saved = saved_steps(self._directory)
        for name in paths.children(self._directory):
            if name.isdigit() and int(name) not in saved:
                paths.remove(self._directory / name)

    def _fetch(self, step: int) -> None:
        """Copies a staged checkpoint to the disk, if it is not there yet."""
        if self._staging is not None and step not in self._manager.all_steps():
            self._staging.pull(step)
            self._manager.reload()

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
                    f"The checkpoint of step {step} in {self._place} is of another model: "
                    f"{path} is {saved.get(path, 'absent')} there and {wanted.get(path, 'absent')} "
                    "here; use the config it was trained with, or another workdir."
                )

    def _set_aside(self, steps: Sequence[int]) -> None:
        """Renames damaged checkpoints, so that their steps can be saved again and none is lost."""
        if not steps or self._read_only:
            return
        for step in steps:
            names = (f"{step}.damaged{n or ''}" for n in itertools.count())
            taken = [f"{name}." for name in paths.children(self._place)]
            free = next(n for n in names if not any(t.startswith(f"{n}.") for t in taken))
            if self._staging is not None:
                self._staging.set_aside(step, free)
            elif jax.process_index() == 0:
                paths.move(self._place / str(step), self._place / free)
        multihost_utils.sync_global_devices("damaged checkpoints are set aside")
        self._manager.reload()


def checksum(state: PyTree) -> int:
    """The sum of all bytes of a state, modulo 2**32; the same on every mesh."""
    return int(_inspect(state)[0])


@jax.jit
def _inspect(state: PyTree) -> tuple[jax.Array, jax.Array]:
    """The sum of all bytes, modulo 2**32, and for each array whether all of it is finite.

    Both are the same on every mesh, and cheap on the devices.
    """
    total, finite = jnp.zeros((), jnp.uint32), []
    for leaf in jax.tree.leaves(state):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
        finite.append(jnp.all(jnp.isfinite(leaf)) if inexact else jnp.array(True))
        if leaf.dtype == jnp.bool_:
            leaf = leaf.astype(jnp.uint8)
        octets = jax.lax.bitcast_convert_type(leaf, jnp.uint8)
        total = total + jnp.sum(octets.astype(jnp.uint32), dtype=jnp.uint32)
    return total, jnp.stack(finite)


def _first_broken(state: PyTree, finite: jax.Array) -> str:
    """The path of the first array that `_inspect` did not find finite; empty if all are."""
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(state)[0]]
    broken = np.flatnonzero(~np.asarray(finite))
    return _path(paths[broken[0]]) if len(broken) else ""


def _reason(error: Exception) -> str:
    """The system's own message, extracted from those of TensorStore and Orbax."""
    said = str(error)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES):
        if os.strerror(number) in said:
            return os.strerror(number)
    return brief(error)


def _path(path: Sequence[Any]) -> str:
    return "/".join(
        str(getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", entry))))
        for entry in path
    )


def _shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a tree by its path, whatever the containers are."""

    def shape(leaf: Any) -> tuple[int, ...]:
        if jax.dtypes.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key):
            return tuple(jax.eval_shape(jax.random.key_data, leaf).shape)
        return tuple(leaf.shape)

    return {
        _path(path): shape(leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        if hasattr(leaf, "shape")
    }
