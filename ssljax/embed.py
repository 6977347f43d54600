"""Features of a folder of images, as files."""

from __future__ import annotations

import csv
import io
import logging
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import data, mesh, model, paths, report
from ssljax.errors import UserError
from ssljax.evals import stream
from ssljax.run import pretrained
from ssljax.run import workdir as workdirs

_log = logging.getLogger(__name__)
_KEY = "config.embed.dir"
_MAPPED = 1000
"""Images on the map, at most."""
_SIDE = 28
"""Pixels of their pictures."""


def embed_folder(config: ConfigDict, workdir: paths.Path) -> list[paths.Path]:
    """Computes the features of the images of `config.embed.dir` by the newest checkpoint.

    They are brought to the network's size as those of an evaluation are, and read in batches of
    `config.evals.batch_size`. A damaged image is left out, or ends the program where there are more
    of them than `config.data.max_corrupt`. The devices, the threads and how layers are pooled are
    those of `config`, as in an evaluation.

    Args:
      config: The resolved config; `embed.stage` is a layer of the network, and if it is empty the
        first of `evals.stages`.
      workdir: That of the training run; the files are written to `embeddings/` in it, in place of
        those of an earlier folder.

    Returns:
      The files: `embeddings.npy`, float32, a row for each image; `files.csv`, with the columns
      row, path (below the folder; bytes of it that are no UTF-8 are question marks) and label, the
      name of the image's class folder, if it lies in one; and, of images of 1 or 3 channels,
      `map.png`, on which images lie near each other whose features do, framed in a colour for each
      label. Images whose features are not finite are not on it, and are told of.

    Raises:
      UserError: If there are no images, or no such layer, or there is no checkpoint, or it is of
        another model.
    """
    if not config.embed.dir:
        raise UserError(f"--mode=embed reads a folder of images: name it in {_KEY}.")
    source = data.ImageFiles(config.embed.dir, _KEY)
    config = pretrained.resolve(config, workdir)
    workdirs.check(config, workdir)
    trained = _trained(config, workdir)
    allowed = config.data.max_corrupt
    scan = trained.scan(source, config.evals.batch_size, max_corrupt=allowed, in_config=True)
    batches = report.tracked(scan, len(scan), scan.batch_size, "embedding")
    embed = _embedder(trained, config)
    every = -(-len(source) // _MAPPED)
    room: np.ndarray | None = None
    places: list[int] = []
    pictures: dict[int, np.ndarray] = {}
    for part in stream(lambda images: embed(trained.state, images), batches, mesh=trained.mesh):
        rows = part.outputs["rows"]
        if room is None:
            room = np.empty((len(scan), rows.shape[1]), np.float32)
        room[len(places) : len(places) + len(rows)] = rows
        places += part.places.tolist()
        shown = zip(part.places.tolist(), part.outputs["pictures"], strict=True)
        pictures |= {place: picture for place, picture in shown if place % every == 0}
    if room is None or not places:
        raise UserError(f"None of the images in {config.embed.dir} can be read: see the log.")
    found = room[: len(places)]
    labels = [data.folder_label(source.files[place]) for place in places]
    table = [(row, source.files[places[row]], labels[row]) for row in range(len(places))]
    directory = workdir / "embeddings"
    files = [directory / "embeddings.npy", directory / "files.csv"]
    finite = np.array([np.isfinite(row).all() for row in found])
    mapped = [row for row, place in enumerate(places) if place in pictures and finite[row]]
    drawn = directory / "map.png"
    if jax.process_index() == 0:
        paths.make_directory(directory)
        _write_rows(files[0], found)
        paths.write(files[1], _csv(table).encode(errors="replace"))
        _log.info(
            "Wrote the features of %d images, (%d, %d), at step %d to %s.",
            *(len(found), *found.shape, trained.step, directory),
        )
        if not finite.all():
            _log.warning(
                "The features of %d images are not finite (NaN or infinite), that of %s among "
                "them: they are not on the map.",
                *(np.count_nonzero(~finite), ascii(source.files[places[int(np.argmin(finite))]])),
            )
        # That of an earlier folder would stand beside the features of this one.
        if paths.is_remote(drawn):
            paths.remove(drawn)
        else:
            drawn.unlink(missing_ok=True)
    if mapped and config.data.channels in (1, 3):
        files.append(drawn)
        if jax.process_index() == 0:
            seen = np.stack([pictures[places[row]] for row in mapped])
            known = sorted({*labels} - {""})
            numbers = [known.index(labels[row]) if labels[row] else -1 for row in mapped]
            points = report.plane(found[mapped], config.embed.projection, config.seed)
            picture = report.map_picture(points, seen, np.array(numbers))
            paths.write(drawn, report.encode_png(picture))
    return files


def _trained(config: ConfigDict, workdir: paths.Path) -> model.Model:
    """The newest checkpoint, on the devices that the command line names, and with its settings."""
    if not workdirs.has_checkpoint(workdir):
        raise UserError(f"There is no checkpoint in {workdir}: train first, with --mode=train.")
    known = pretrained.resolve(ConfigDict({"init": {"workdir": str(workdir), "step": 0}}))
    method = pretrained.build(known)
    assert method is not None
    on = mesh.make_mesh(config.mesh.data, config.mesh.fsdp)
    return model.Model(method, pretrained.restore(known, method, on), config, on)


def _embedder(trained: model.Model, config: ConfigDict) -> Callable[..., dict[str, Array]]:
    """Makes the jitted function that gives the features of images, and small pictures of them."""

    @jax.jit
    def embed(state: Any, images: Array) -> dict[str, Array]:
        shape = (len(images), _SIDE, _SIDE, images.shape[3])
        small = jax.image.resize(images.astype(jnp.float32), shape, "linear")
        return {
            "rows": trained.embedding(state, images, config.embed.stage),
            "pictures": jnp.clip(jnp.round(small), 0, 255).astype(jnp.uint8),
        }

    return embed


def _write_rows(file: paths.Path, rows: np.ndarray) -> None:
    """Writes an array, as a whole and without a copy of it in memory."""
    if not paths.is_remote(file):
        beside = file.with_name(f"{file.name}.tmp")
        with pathlib.Path(beside).open("wb") as opened:
            np.save(opened, rows, allow_pickle=False)
        beside.replace(file)
        return
    with tempfile.TemporaryDirectory() as folder:
        local = pathlib.Path(folder) / file.name
        np.save(local, rows, allow_pickle=False)
        paths.upload(local, file)


def _csv(table: list[tuple[int, str, str]]) -> str:
    made = io.StringIO(newline="")
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(("row", "path", "label"))
    writer.writerows(table)
    return made.getvalue()
