"""Pictures of what an encoder has learnt: the images that it takes for alike, and its filters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Float, UInt8
from ml_collections import ConfigDict

from ssljax import mesh, metrics, report
from ssljax.evals import features, gallery
from ssljax.evals.contract import NETWORK, Evaluation, Run, Scores, leave_out
from ssljax.evals.extract import extract
from ssljax.evals.pictures import check_channels
from ssljax.methods.contract import TrainState

_QUERIES, _NEAREST = 8, 7
_ENLARGED = 8
"""Pixels a side of one weight of a filter."""


class EncoderPictures(Evaluation):
    """Pictures of an encoder.

    They are "neighbors_<stage>" for each of `config.evals.stages`: in each row one of the first
    images of the test split, and then the training images at the smallest angle to it. And
    "filters", the kernels of the first convolution, where it sees at most three channels: each
    weight is bright above 0 and dark below, in proportion to the filter's largest.
    """

    name = "encoder_pictures"
    rows = NETWORK._replace(without="", untrained="")

    @staticmethod
    def default_config() -> ConfigDict:
        """How many training images are searched for the nearest."""
        return ConfigDict(dict(neighbors=10000))

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if the images are no pictures, or there is no such stage."""
        experiment = run.experiment
        check_channels(experiment.task.image_shape[2], leave_out(self.name))
        state = experiment.abstract_state
        images = jax.ShapeDtypeStruct((run.mesh.size, *experiment.task.image_shape), np.uint8)
        jax.eval_shape(features.outputs(run, state), images)
        run.open(run.config.test_split)
        return ()

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Draws the encoder of a state."""
        assert state is not None
        params, _ = run.method(state).trained_weights(state)
        pictures = _neighbors(run, state)
        if filters := first_filters(params):
            pictures["filters"] = report.beside([draw_filters(kernel) for kernel in filters])
        return Scores(pictures=pictures)


def _neighbors(run: Run, state: TrainState) -> dict[str, report.Picture]:
    """The neighbours at every stage, with one pass over the training images for all."""
    experiment, outputs = run.experiment, features.outputs(run, state)
    test, training = (
        run.open(run.config.test_split).source,
        gallery.training(run, run.config.encoder_pictures.neighbors),
    )
    first = experiment.scan(test, _QUERIES, np.arange(min(_QUERIES, len(test))), may_keep=False)
    asked, found = (
        extract(outputs, scan, mesh=run.mesh, count=len(scan)) for scan in (first, training)
    )
    queries = gallery.read(run, test, asked.places)
    pictures = {}
    for stage in run.config.stages:
        rows = metrics.nearest_rows(
            _directions(asked.outputs[stage]), [_directions(found.outputs[stage])], _NEAREST
        )
        near = gallery.read(run, experiment.source, found.places[rows.ravel()])
        shown = np.concatenate(
            [queries[:, None], near.reshape(*rows.shape, *queries.shape[1:])], axis=1
        )
        name = f"neighbors_{stage}"
        pictures[name] = report.grid(shown.reshape(-1, *queries.shape[1:]), shown.shape[1])
    return pictures


def _directions(rows: Float[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows dim"]:
    """Rows of length 1, whose distances are in the order of the angles; a row of 0 stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)


def first_filters(params: Mapping[str, Any]) -> list[Float[np.ndarray, "height width in out"]]:
    """The kernels that see images.

    Args:
      params: Of a network, by module; those of "encoder" are read where there is one.

    Returns:
      Kernels of more than one place and at most three input channels; one of each half where an
      encoder has two, and none where images are not convolved.
    """
    flat = flatten_dict(dict(params.get("encoder", params)))
    return [
        np.asarray(mesh.to_host(kernel), np.float32)
        for path, kernel in flat.items()
        if path[-1] == "kernel"
        and kernel.ndim == 4
        and kernel.shape[2] <= 3
        and math.prod(kernel.shape[:2]) > 1
    ]


def draw_filters(kernel: Float[np.ndarray, "height width in out"]) -> UInt8[np.ndarray, "h w 3"]:
    """Draws filters in rows, enlarged.

    Args:
      kernel: Its input channels are red, green and blue; of two, blue is as a weight of 0; one
        alone is grey.
    """
    filters = np.moveaxis(kernel, -1, 0)
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    filters = filters / np.where(largest == 0, 1, largest)
    if filters.shape[-1] == 1:
        filters = np.repeat(filters, 3, axis=-1)
    filters = np.pad(filters, [(0, 0)] * 3 + [(0, 3 - filters.shape[-1])])
    pixels = np.round(127.5 + 127.5 * filters).astype(np.uint8)
    pixels = pixels.repeat(_ENLARGED, axis=1).repeat(_ENLARGED, axis=2)
    return report.grid(pixels, columns=math.ceil(math.sqrt(len(pixels))), gap=2)
