"""The run that another run starts from, to fine-tune, distil or transfer what it has learnt.

`config.init.workdir` names it. Its checkpoint is read once, before step 0; what is needed to build
its method again is written into the new run's own `config.json`. In its place may stand a file of
published weights, `config.pretrained.weights`: see `ssljax.run.weights`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any, NamedTuple

import jax
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh
from ml_collections import ConfigDict

from ssljax import mesh, methods, paths
from ssljax.errors import UserError
from ssljax.methods.contract import Method, Task, TrainState
from ssljax.run import hosts
from ssljax.run import workdir as workdirs
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.step import init_state

_TASK = "task.json"
_DATA = "data.json"
_NO_FILE = ConfigDict({"weights": ""})
"""Of configs that name a run alone."""


class Recorded(NamedTuple):
    """What a run has written of its data.

    Attributes:
      task: The fields of its `Task`, but for `source` and `phase`.
      made_of: What the training set was made of, at first and after each change that was accepted:
        see `data.fingerprint`.
    """

    task: ConfigDict
    made_of: list[dict[str, Any]]


def record(task: Task, made_of: list[dict[str, Any]], workdir: paths.Path) -> None:
    """Writes what a run's method knows of its data, so that other runs can build it again.

    Args:
      task: The method's task.
      made_of: See `Recorded`.
      workdir: That of the run.
    """
    known = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
    del known["source"]  # Its own workdir describes it, and config.json.
    del known["phase"]  # It goes by the step of a checkpoint.

    def write() -> None:
        for name, what in ((_TASK, known), (_DATA, {"training_set": made_of})):
            paths.write(workdir / name, json.dumps(what, indent=2) + "\n")

    hosts.on_first(write, workdir)


def recorded(workdir: paths.Path) -> Recorded | None:
    """Reads what `record` wrote; None where nothing has been learnt yet, or nothing was written."""
    if not workdirs.has_checkpoint(workdir) or not (workdir / _TASK).is_file():
        return None
    task = _read(workdir / _TASK)
    if not all(isinstance(task.get(name), int) for name in ("num_images", "total_steps")):
        raise UserError(_damaged(workdir / _TASK))
    file = workdir / _DATA
    made_of = workdirs.read_json(file).get("training_set") if file.is_file() else []
    if not isinstance(made_of, list) or not all(map(_is_fingerprint, made_of)):
        raise UserError(_damaged(file))
    return Recorded(task, made_of)


def _is_fingerprint(found: Any) -> bool:
    kinds = {"images": int, "classes": list, "digest": str}
    return isinstance(found, dict) and all(isinstance(found.get(k), t) for k, t in kinds.items())


def _damaged(path: paths.Path) -> str:
    return (
        f"{path} is damaged (it lacks what a run records): restore it from a copy, or use another "
        "workdir."
    )


def resolve(config: ConfigDict, workdir: paths.Path | None = None) -> ConfigDict:
    """Adds to `config.init` all that is known of the run that it names.

    Args:
      config: The config.
      workdir: That of the new run. Where it has saved a state already, its `config.json` is read
        instead of the other run, which may since have been removed.

    Returns:
      The config, with the `step` that is taken, and the other run's config and task under `run` and
      `task`; the same config if it names no run or is resolved already.

    Raises:
      UserError: If there is no such run, or it has no checkpoint, or a file is named as well.
    """
    if not config.init.workdir or "run" in config.init:
        return config
    if config.get("pretrained", _NO_FILE).weights:
        raise UserError(
            "config.init.workdir and config.pretrained.weights both say what the encoder starts "
            "as: leave one of them empty."
        )
    config = config.copy_and_resolve_references()
    parent = paths.resolve(config.init.workdir)
    if workdir is not None and parent == workdir:
        raise UserError(
            f"config.init.workdir and --workdir are both {parent}: give the new run a directory of "
            "its own."
        )
    with config.unlocked():
        config.init.workdir = str(parent)
        if workdir is not None and workdirs.has_checkpoint(workdir):
            before = _read(workdir / "config.json").get("init", ConfigDict())
            if before.get("workdir") == str(parent) and config.init.step in (0, before.step):
                config.init = before
                return config
        if not (parent / "config.json").is_file() or not (parent / _TASK).is_file():
            raise UserError(
                f"There is no run in {parent}: config.init.workdir must be the --workdir of a run "
                "that was trained."
            )
        config.init.run = _read(parent / "config.json")
        config.init.task = _read(parent / _TASK)
        with _checkpoints(parent) as checkpoints:
            config.init.step = config.init.step or checkpoints.steps()[-1]
    return config


def other_inputs(config: ConfigDict) -> list[str]:
    """Says how the images differ from those of the run that the network comes from, if they do."""
    if not config.init.workdir:
        return []
    now, before = (flatten_dict(each.to_dict(), sep=".") for each in (config, config.init.run))
    return [
        f"config.{key} was {before[key]!r} and is {now[key]!r}"
        for key in (
            *("data.image_size", "data.channels", "data.range"),
            *("method.view.mean", "method.view.std"),
        )
        if key in now and key in before and now[key] != before[key]
    ]


def build(config: ConfigDict) -> Method | None:
    """Builds the method of the run that a resolved config starts from; None if it names none.

    Raises:
      UserError: If it cannot be built.
    """
    if not config.init.workdir:
        return None
    run = workdirs.complete(config.init.run)
    try:
        return methods.build_at(run, Task(**config.init.task, source=build(run)), config.init.step)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The run in {config.init.workdir} cannot be built again, perhaps because another "
            f"version of ssljax recorded it: {error}"
        ) from error


def abstract_state(method: Method) -> TrainState:
    """Shapes and types of the training state of a method."""
    return jax.eval_shape(lambda: init_state(method, jax.random.key(0)))


def restore(config: ConfigDict, method: Method, on: Mesh) -> TrainState:
    """Reads the trained state of the run that a resolved config starts from.

    Args:
      config: The resolved config of the new run.
      method: What `build` made.
      on: The mesh on which the state shall lie.

    Returns:
      The state at `config.init.step`.

    Raises:
      UserError: If the checkpoint is gone, damaged, or of another model.
    """
    abstract = abstract_state(method)
    placed = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
        abstract,
        mesh.state_shardings(on, abstract),
    )
    with _checkpoints(paths.resolve(config.init.workdir)) as checkpoints:
        restored: TrainState = checkpoints.restore(placed, config.init.step)
    return restored


@contextlib.contextmanager
def _checkpoints(workdir: paths.Path) -> Any:
    """The checkpoints of a run that has some."""
    with contextlib.closing(Checkpoints(workdir / "checkpoints", read_only=True)) as found:
        if not found.steps():
            raise UserError(
                f"There is no checkpoint in {workdir}: train that run first, or name another one "
                "in config.init.workdir."
            )
        yield found


def _read(path: paths.Path) -> ConfigDict:
    """Rebuilds a recorded config from its dotted keys."""
    nested: dict[str, Any] = {}
    for key, value in workdirs.read_json(path).items():
        *groups, last = key.split(".")
        group = nested
        for name in groups:
            group = group.setdefault(name, {})
        group[last] = _tuples(value)
    return ConfigDict(nested)


def _tuples(value: Any) -> Any:
    """Turns the lists of JSON back into tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
