"""Images of the training set that pictures show, such as the neighbours of others."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, UInt8

from ssljax import data
from ssljax.evals.contract import Run

Images = UInt8[np.ndarray, "count height width channels"]


def training(run: Run, most: int) -> data.Scan:
    """Training images to search: all of them, or so many drawn by the run's seed.

    Args:
      run: Whose training set it is.
      most: How many there are at most.
    """
    return run.once(_training, most)


def _training(run: Run, most: int) -> data.Scan:
    return drawn(run, run.experiment.source, most)


def drawn(run: Run, source: data.Source, most: int) -> data.Scan:
    """Passes over all images of a source, or over so many drawn by the run's seed."""
    order = np.arange(len(source))
    if len(source) > most:
        rng = np.random.default_rng(run.experiment.config.seed)
        order = np.sort(rng.choice(len(source), most, replace=False))
    return run.experiment.scan(source, run.config.batch_size, order)


def read(run: Run, source: data.Source, places: Int[np.ndarray, "images"]) -> Images:
    """Reads the images at some places of a source, in this order; a place may come again."""
    order, back = np.unique(places, return_inverse=True)
    return run.experiment.load(data.Subset(source, order))["image"][back]
