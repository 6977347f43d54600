"""Translations of a folder of images, as files."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import data, methods, paths, report
from ssljax.errors import UserError
from ssljax.evals import Run, stream, translating
from ssljax.evals.generative import to_pixels
from ssljax.evals.pictures import check_channels
from ssljax.evaluate import newest_state
from ssljax.methods.protocols import Translator
from ssljax.run import pretrained
from ssljax.run import workdir as workdirs
from ssljax.run.experiment import Experiment

_log = logging.getLogger(__name__)
_KEY = "config.translate.dir"
_CYCLE = "_cycle"


def translate_folder(config: ConfigDict, workdir: paths.Path) -> list[paths.Path]:
    """Translates the images of `config.translate.dir` by the newest checkpoint of a workdir.

    They are brought to the network's size as those of an evaluation are, and read in batches of
    `config.evals.batch_size`. A corrupt image is left out, or ends the program where there are more
    of them than `config.data.max_corrupt`.

    Args:
      config: The resolved config; `translate.way` is one of the method's translations, and if it is
        empty the first of them.
      workdir: That of the training run; the files are written to `translated/` in it.

    Returns:
      The files: `<step>/<way>/<name>.png` of each image, where the method leads back as well
      `<name>_cycle.png`, and `<step>/<way>.png`, a grid of the first images, their translations and
      their cycles. A way such as "A to B" is written `A_to_B`; an image in a folder of the folder
      keeps its place in it.

    Raises:
      UserError: If the method translates no images or not in this way, or there are no images, or
        two would have translations of one name, or there is no checkpoint, or it is of another
        model.
    """
    name = config.method.name
    if not issubclass(methods.REGISTRY[name], Translator):
        raise UserError(
            f"The method {name} translates no images: --mode=translate is for those that do."
        )
    if not config.translate.dir:
        raise UserError(f"--mode=translate reads a folder of images: name it in {_KEY}.")
    source = data.ImageFiles(config.translate.dir, _KEY)
    config = pretrained.resolve(config, workdir)
    workdirs.check(config, workdir)
    experiment = Experiment(config, pretrained.recorded(workdir))
    check_channels(experiment.task.image_shape[2], "--mode=translate writes no others")
    known = experiment.method
    assert isinstance(known, Translator)
    way = translating.choose_way(known, config.translate.way, "config.translate.way")
    names = _names(source, translating.way_back(known, way) is not None)
    state = newest_state(experiment, workdir)
    translate = _translator(Run(experiment).method(state), way)
    scan = experiment.scan(source, min(config.evals.batch_size, len(source)), may_keep=False)
    top, folder = workdir / "translated" / str(int(state.step)), translating.plain(way)
    files: list[paths.Path] = []
    shown: list[list[np.ndarray]] = []
    for part in stream(lambda images: translate(state, images), scan, mesh=experiment.mesh):
        originals, *made = part.outputs.values()
        for row, place in enumerate(part.places):
            columns = [images[row] for images in (originals, *made)]
            if len(shown) < translating.SHOWN:
                shown.append(columns)
            for written, image in zip(names[place], columns[1:], strict=True):
                files.append(top / folder / f"{written}.png")
                _write(files[-1], image)
    if not shown:
        raise UserError(f"None of the images in {config.translate.dir} can be read: see the log.")
    files.append(top / f"{folder}.png")
    _write(
        files[-1], translating.picture([np.stack(column) for column in zip(*shown, strict=True)])
    )
    if jax.process_index() == 0:
        _log.info("Wrote %d images and a grid of the first to %s.", len(files) - 1, top)
    return files


def _names(source: data.ImageFiles, is_cycle: bool) -> list[tuple[str, ...]]:
    """The names of what is written of each image, without their endings.

    Raises:
      UserError: If two would have the same.
    """
    ends = ("", _CYCLE) if is_cycle else ("",)
    stems = [file.rpartition(".")[0] for file in source.files]
    names = [tuple(stem + end for end in ends) for stem in stems]
    (name, count), *_ = Counter(name for of_one in names for name in of_one).most_common(1)
    if count > 1:
        raise UserError(
            f"Two images would have translations of the name {name}.png: rename one of those in "
            f"{_KEY} whose names begin in the same way."
        )
    return names


def _translator(method: Any, way: str) -> Callable[..., dict[str, Array]]:
    """Makes the jitted function that gives images, their translations and cycles, as bytes."""

    @jax.jit
    def translate(state: Any, images: Array) -> dict[str, Array]:
        made = translating.there_and_back(method, state, images, way)
        # A dictionary comes out of a jitted function in the order of its sorted keys.
        found = {"0": images, "1": to_pixels(made.there)}
        return found if made.back is None else found | {"2": to_pixels(made.back)}

    return translate


def _write(file: paths.Path, image: np.ndarray) -> None:
    if jax.process_index() == 0:
        paths.make_directory(file.parent)
        file.write_bytes(report.encode_png(image))
