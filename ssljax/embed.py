"""Features of a folder of images, as files."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import data, model, paths, report
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
    of them than `config.data.max_corrupt`.

    Args:
      config: The resolved config; `embed.stage` is a layer of the network, and if it is empty the
        first of `evals.stages`.
      workdir: That of the training run; the files are written to `embeddings/` in it, in place of
        those of an earlier folder.

    Returns:
      The files: `embeddings.npy`, float32, a row for each image; `files.csv`, with the columns
      row, path (below the folder) and label, the name of the image's class folder, if it lies in
      one; and, of images of 1 or 3 channels, `map.png`, on which images lie near each other whose
      features do, framed in a colour for each label.

    Raises:
      UserError: If there are no images, or no such layer, or there is no checkpoint, or it is of
        another model.
    """
    if not config.embed.dir:
        raise UserError(f"--mode=embed reads a folder of images: name it in {_KEY}.")
    source = data.ImageFiles(config.embed.dir, _KEY)
    config = pretrained.resolve(config, workdir)
    workdirs.check(config, workdir)
    trained = model.load(workdir)
    scan = trained.scan(source, config.evals.batch_size, config.data.max_corrupt)
    batches = report.tracked(scan, len(scan), scan.batch_size, "embedding")
    embed = _embedder(trained, config)
    every = -(-len(source) // _MAPPED)
    rows: list[np.ndarray] = []
    places: list[int] = []
    pictures: dict[int, np.ndarray] = {}
    for part in stream(lambda images: embed(trained.state, images), batches, mesh=trained.mesh):
        rows.append(part.outputs["rows"])
        places += part.places.tolist()
        shown = zip(part.places.tolist(), part.outputs["pictures"], strict=True)
        pictures |= {place: picture for place, picture in shown if place % every == 0}
    if not places:
        raise UserError(f"None of the images in {config.embed.dir} can be read: see the log.")
    found = np.concatenate(rows)
    labels = [data.folder_label(source.files[place]) for place in places]
    table = [(row, source.files[places[row]], labels[row]) for row in range(len(places))]
    directory = workdir / "embeddings"
    names = ["embeddings.npy", "files.csv"]
    if config.data.channels in (1, 3):
        names.append("map.png")
    files = [directory / name for name in names]
    if jax.process_index() == 0:
        mapped = [row for row, place in enumerate(places) if place in pictures]
        seen = np.stack([pictures[places[row]] for row in mapped])
        contents: list[str | bytes] = [_npy(found), _csv(table)]
        if len(files) > 2:
            known = sorted({*labels} - {""})
            numbers = [known.index(labels[row]) if labels[row] else -1 for row in mapped]
            points = report.plane(found[mapped], config.embed.map, config.seed)
            drawn = report.map_picture(points, seen, np.array(numbers))
            contents.append(report.encode_png(drawn))
        paths.make_directory(directory)
        for file, content in zip(files, contents, strict=True):
            paths.write(file, content)
        _log.info(
            "Wrote the features of %d images, (%d, %d), at step %d to %s.",
            *(len(found), *found.shape, trained.step, directory),
        )
    return files


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


def _npy(rows: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.save(made, rows, allow_pickle=False)
    return made.getvalue()


def _csv(table: list[tuple[int, str, str]]) -> str:
    made = io.StringIO(newline="")
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(("row", "path", "label"))
    writer.writerows(table)
    return made.getvalue()
