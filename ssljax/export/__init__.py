"""What a run has learnt, written so that other programs can use it.

A format is one file in this room, listed in `FORMATS`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ssljax import mesh, paths
from ssljax.errors import UserError
from ssljax.evaluate import newest_state
from ssljax.export import hub, onnx, stablehlo, timm, torchvision
from ssljax.export.card import write_card
from ssljax.export.subject import Subject
from ssljax.run import pretrained
from ssljax.run import workdir as workdirs
from ssljax.run.experiment import Experiment

_log = logging.getLogger(__name__)

FORMATS: dict[str, Callable[[Subject, paths.Path], str]] = {
    "timm": timm.write,
    "torchvision": torchvision.write,
    "stablehlo": stablehlo.write,
    "onnx": onnx.write,
}
"""By name: writes the files into a directory, and returns how to load them, as Markdown."""
_CARD = "README.md"
FILES = {
    "timm": ("config.json", "model.safetensors", _CARD),
    "torchvision": ("model.safetensors", _CARD),
    "stablehlo": ("model.stablehlo", "preprocessing.json", _CARD),
    "onnx": ("model.onnx", "preprocessing.json", _CARD),
}
"""What each format writes."""


def export_checkpoint(config: ConfigDict, workdir: paths.Path) -> paths.Path:
    """Writes the network of the newest checkpoint of a workdir in a format of others.

    The data set need not be there. Where there is no checkpoint, and `config.pretrained.weights`
    names a file, the weights of the file are written; the data set is then opened.

    Args:
      config: The resolved config; its keys `export` say what is written, and where.
      workdir: That of the training run.

    Returns:
      The directory: the network, what else its format needs, and `README.md`, a model card.

    Raises:
      UserError: If the format is unknown, cannot express the network, or needs what is not
        installed; or if there is no checkpoint, or `export.dir` holds other files.
    """
    export = config.export
    if export.format not in FORMATS:
        raise UserError(
            f"config.export.format={export.format!r} is not known: choose one of "
            f"{', '.join(FORMATS)}."
        )
    directory = workdir / "export" / export.format
    if export.dir:
        directory = paths.resolve(export.dir)
        _check_directory(directory, FILES[export.format])
    if export.push:
        hub.check(export.push, directory)
    subject = _subject(config, workdir)
    if jax.process_index() == 0:
        paths.make_directory(directory)
        usage = FORMATS[export.format](subject, directory)
        write_card(subject, workdir, directory, export.format, usage)
        _log.info("Wrote the network at step %d to %s.", subject.step, directory)
        if export.push:
            _log.info("Pushed it to %s.", _push(export, directory))
    return directory


def _push(export: ConfigDict, directory: paths.Path) -> str:
    return hub.push(directory, export.push, FILES[export.format], export.private)


def _check_directory(directory: paths.Path, files: tuple[str, ...]) -> None:
    """Raises a `UserError` if a folder holds what is no earlier export, and might be lost."""
    if not directory.is_dir():
        return
    names = [path.name for path in directory.iterdir() if not path.name.startswith(".")]
    others = sorted(set(names) - set(files))
    if others or (_CARD in names and not set(files) <= set(names)):
        raise UserError(
            f"config.export.dir={str(directory)!r} holds files that are no export of this format, "
            f"such as {(others or [_CARD])[0]}: name an empty folder, or one that is not there."
        )


def _subject(config: ConfigDict, workdir: paths.Path) -> Subject:
    """The network of a run, or of the file that a run would start with."""
    config = pretrained.resolve(config, workdir)
    workdirs.check(config, workdir)
    if workdirs.has_checkpoint(workdir) or not config.pretrained.weights:
        if not workdirs.has_checkpoint(workdir):
            raise UserError(f"There is no checkpoint in {workdir}: train first, with --mode=train.")
        known = pretrained.resolve(ConfigDict({"init": {"workdir": str(workdir), "step": 0}}))
        method = pretrained.build(known)
        assert method is not None
        state = pretrained.restore(known, method, mesh.make_mesh())
        shape = tuple(known.init.task.image_shape)
    else:
        experiment = Experiment(config)
        state, method = newest_state(experiment, workdir), experiment.method
        shape = experiment.task.image_shape
    parts = (state.params, state.variables, state.memory)
    params, variables, memory = jax.tree.map(jnp.asarray, mesh.to_host(parts))
    state = state.replace(params=params, variables=variables, memory=memory, opt_state={})
    return Subject(config, method, state, shape)
