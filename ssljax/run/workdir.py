"""The directory of a run: who writes in it, what it was made of, and what may change later.

`config.json` holds every key of the resolved config, `environment.json` the versions, devices and
commit, `changes.jsonl` every change that `config.resume.accept` let through, and `lock.json` the
process that trains there now.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import pathlib
import platform
import subprocess
import time
from collections.abc import Collection, Mapping
from typing import Any

import jax
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from ssljax import methods, paths
from ssljax.errors import UserError
from ssljax.methods.pretext.multi_task import TASKS
from ssljax.run import checkpoint, hosts

_log = logging.getLogger(__name__)

_ENVIRONMENT = "environment.json"
_MAY_CHANGE = (
    *("data.dir", "data.cache", "data.threads", "data.prefetch", "data.max_corrupt"),
    "method.domain_b.dir",
    "method.frames.dir",
)
_MAY_CHANGE_UNDER = (
    *("evals.", "samples.", "translate.", "embed.", "export.", "log.", "checkpoint.", "mesh."),
    "resume.",
)
"""What a run that goes on may change: where things run and what is reported, not what is learnt."""

_ADDED: Mapping[str, Any] = {
    "data.annotations": "",
    "data.box_classes": 0,
    "data.boxes_key": "",
    "data.clip_key": "",
    "data.crop": "device",
    "data.doubtful_key": "",
    "data.frames": 0,
    "data.hop": 0,
    "data.mask_classes": 0,
    "data.mask_key": "",
    "data.max_boxes": 100,
    "data.motion": 0.0,
    "data.multi_label_key": "",
    "data.range": [],
    "data.stride": 1,
    "data.time_key": "",
    "data.void": 255,
    "optimizer.end_factor": 0.01,
    "optimizer.hold": 0.0,
    "optimizer.poly_every": 1,
    "optimizer.power": 0.9,
    "pretrained.weights": "",
}
"""Keys that older configs lack, at the values that stand for what those runs did."""

_ADDED_TO_METHODS: Mapping[str, Mapping[str, Any]] = {
    "bag_of_words": {"method.center": 1.0},
    "bigan": {"method.center_features": False},
    "counting": {"method.noise": 0.0},
    "finetune": {"method.train_encoder": True},
    "multi_task": {
        "method.counting.noise": 0.0,
        "method.frames.dir": "",
        "method.frames.name": "",
        "method.frames.split": "",
        "method.relative_transformation.noise": 0.0,
    },
    "pix2pix": {"method.rule": "none"},
    "relative_transformation": {"method.noise": 0.0},
    "super_resolution": {"method.extractor": ""},
}
"""Such keys of single methods."""

_ADDED_TO_ENCODERS: Mapping[str, Any] = {
    "model.encoder.class_token": True,
    "model.encoder.drop_path_uniform": False,
    "model.encoder.layer_scale": 0.0,
    "model.encoder.registers": 0,
}
"""Such keys of the methods that have an encoder."""

Changes = dict[str, tuple[Any, Any]]
"""Values before and now, by key."""


def prepare(workdir: paths.Path) -> None:
    """Makes the directories that a training run writes in, before it reads or compiles anything.

    Raises:
      UserError: If one of them, or what it lies under, is a file, or cannot be written in.
    """

    def make() -> None:
        for directory in (workdir, workdir / "checkpoints"):
            try:
                paths.make_directory(directory)
            except (FileExistsError, NotADirectoryError) as error:
                raise UserError(
                    f"{error.filename} is not a directory, or lies under a file: give --workdir a "
                    "directory, or a path at which one can be made."
                ) from error
        if paths.is_remote(workdir):
            return
        for name in ("tensorboard", "pictures"):
            if (workdir / name).exists() and not (workdir / name).is_dir():
                raise UserError(
                    f"{workdir / name} is not a directory: move it away, or use another --workdir."
                )

    hosts.on_first(make, workdir)


def check(config: ConfigDict, workdir: paths.Path, others: Collection[str] = ()) -> Changes:
    """Compares a config with that of the run in a workdir, for programs that read what it learnt.

    Permitted differences, such as the data set of the evaluations, are logged.

    Args:
      config: The resolved config.
      workdir: That of a run.
      others: Keys that may differ as well.

    Returns:
      The permitted differences.

    Raises:
      UserError: If what belongs to the trained network differs; the message shows each difference.
    """
    before = _recorded(workdir)
    if before is None:
        return {}
    changes = _compare(before, _plain(config))
    learnt = {key: change for key, change in changes.items() if _is_learnt(key, others)}
    if learnt:
        raise UserError(f"{_told(learnt, workdir)}: use the same values, or another --workdir.")
    if jax.process_index() == 0:
        for key, (was, now) in changes.items():
            _log.info("config.%s is %r; the run has %r.", key, now, was)
    return changes


def check_resumed(config: ConfigDict, workdir: paths.Path) -> Changes:
    """Compares the config of a run that is resumed with the one that its workdir was written with.

    A workdir without a checkpoint holds nothing to resume: any config may start afresh in it.

    Args:
      config: The resolved config; `resume.accept` names what may have changed.
      workdir: That of the run.

    Returns:
      The changes that were accepted.

    Raises:
      UserError: If anything else that is learnt differs.
    """
    before = _recorded(workdir)
    if before is None or not has_checkpoint(workdir):
        return {}
    accepted = config.resume.accept
    changes = _compare(before, _plain(config))
    learnt = {key: change for key, change in changes.items() if _is_learnt(key)}
    refused = {key: change for key, change in learnt.items() if key not in accepted}
    if refused:
        option = tuple(dict.fromkeys((*accepted, *refused)))
        raise UserError(
            f"{_told(refused, workdir)}: use the same values, or another --workdir; or go on with "
            f'the new ones by --config.resume.accept="{option}".'
        )
    return learnt


def record(config: ConfigDict, workdir: paths.Path, step: int) -> None:
    """Writes the resolved config and the environment of the run into the workdir.

    Args:
      config: The resolved config.
      workdir: That of the run.
      step: Finished train steps. Changes that are accepted are written with it.

    Raises:
      UserError: If the workdir was written by a config that would learn something else.
    """

    def write() -> None:
        changes = check_resumed(config, workdir)
        history, lines = workdir / "changes.jsonl", []
        for key, (before, now) in changes.items():
            _log.info("From step %d on config.%s is %r; it was %r.", step, key, now, before)
            change = {"step": step, "key": key, "before": before, "now": now, "time": time.time()}
            lines.append(json.dumps(change) + "\n")
        if lines:
            earlier = paths.read(history).decode(errors="replace") if history.exists() else ""
            paths.write(history, earlier + "".join(lines))
        environment = _environment()
        if step:
            _tell_other_devices(workdir / _ENVIRONMENT, environment["devices"], step)
        paths.write(workdir / "config.json", json.dumps(_plain(config), indent=2) + "\n")
        paths.write(workdir / _ENVIRONMENT, json.dumps(environment, indent=2) + "\n")

    hosts.on_first(write, workdir)


def _tell_other_devices(path: paths.Path, devices: list[str], step: int) -> None:
    """Says once where a run is resumed on other devices than those that are recorded."""
    before: list[str] = []
    with contextlib.suppress(OSError, UserError):  # It is about to be written anew.
        before = read_json(path).get("devices", [])
    then, now = (
        f"{len(each)} x {each[0].rpartition(' ')[0]}" if each else "" for each in (before, devices)
    )
    if then and then != now:
        _log.info(
            "From step %d on the run is on %s, before it was on %s: it ends as it would have, but "
            "for rounding.",
            step,
            now,
            then,
        )


def read_json(path: paths.Path) -> dict[str, Any]:
    """Reads what a run has recorded.

    Raises:
      UserError: If the file is damaged.
    """
    try:
        content = json.loads(paths.read(path).decode())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is damaged ({error}): restore it from a copy, or use another workdir."
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path} is damaged (it holds a {type(content).__name__}, not keys and values): "
            "restore it from a copy, or use another workdir."
        )
    return content


def _recorded(workdir: paths.Path) -> dict[str, Any] | None:
    path = workdir / "config.json"
    return read_json(path) if path.is_file() else None


def has_checkpoint(workdir: paths.Path) -> bool:
    """Whether a run has saved a state there."""
    return bool(checkpoint.saved_steps(workdir / "checkpoints"))


def _plain(config: ConfigDict) -> dict[str, Any]:
    """A config's values by dotted key, as JSON gives them back."""
    plain: dict[str, Any] = json.loads(json.dumps(flatten_dict(config.to_dict(), sep=".")))
    return plain


def complete(config: ConfigDict) -> ConfigDict:
    """A recorded config with the keys that were added since."""
    keys = flatten_dict(config.to_dict(), keep_empty_nodes=True, sep=".")
    return ConfigDict(unflatten_dict(_completed(keys), sep="."))


def _completed(recorded: Mapping[str, Any]) -> dict[str, Any]:
    own = _ADDED_TO_METHODS.get(recorded.get("method.name", ""), {})
    encoder = _ADDED_TO_ENCODERS if "model.encoder.patch_size" in recorded else {}
    tasks = dict[str, Any]()
    if lacking := _lacking_tasks(recorded):
        keys = {name: methods.default_config("multi_task")[name].to_dict() for name in lacking}
        tasks = flatten_dict({"method": keys}, keep_empty_nodes=True, sep=".")
    return {**_ADDED, **encoder, **own, **tasks, **recorded}


def _lacking_tasks(recorded: Mapping[str, Any]) -> list[str]:
    """The tasks of `multi_task` that there were not yet: no run has learnt by their keys."""
    if recorded.get("method.name") != "multi_task":
        return []
    sections = {key.split(".")[1] for key in recorded if key.startswith("method.")}
    return sorted(TASKS.keys() - sections)


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> Changes:
    unread = tuple(f"method.{name}." for name in _lacking_tasks(before))
    before = _completed({key: now[key] for key in now if key.startswith(unread)} | dict(before))
    return {
        key: (before.get(key, "absent"), now.get(key, "absent"))
        for key in sorted(before.keys() | now.keys())
        if before.get(key, "absent") != now.get(key, "absent")
    }


def _is_learnt(key: str, others: Collection[str] = ()) -> bool:
    return key not in (*_MAY_CHANGE, *others) and not key.startswith(_MAY_CHANGE_UNDER)


def _told(changes: Changes, workdir: paths.Path) -> str:
    differences = [f"{key} was {before!r} and is {now!r}" for key, (before, now) in changes.items()]
    return f"{workdir} was written by another config ({'; '.join(differences)})"


def _environment() -> dict[str, Any]:
    packages = ("ssljax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
    versions: dict[str, str] = {}
    for package in (*packages, "tensorflow-datasets", "opencv-python-headless"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    commit = ""
    with contextlib.suppress(OSError):  # There may be no git.
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "processes": jax.process_count(),
        "devices": [f"{device.device_kind} {device.id}" for device in jax.devices()],
        "git": commit or "unknown",
    }
