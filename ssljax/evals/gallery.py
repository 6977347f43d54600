"""Images of the training set that pictures show, such as the neighbours of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from ssljax import data
from ssljax.evals.contract import Run

Images = UInt8[np.ndarray, "count height width channels"]
Rule = Callable[[UInt8[Array, "batch height width channels"]], Array]


class Ruled:
    """Passes over images that a rule changes.

    Args:
      scan: The images.
      rule: Is handed a batch of them.
    """

    def __init__(self, scan: data.Scan, rule: Rule) -> None:
        self._scan, self._rule = scan, rule

    def __len__(self) -> int:
        return len(self._scan)

    def __iter__(self) -> Iterator[Mapping[str, np.ndarray]]:
        """Yields the batches of the scan, as `ssljax.data.Scan` does."""
        for batch in self._scan:
            yield {**batch, "image": np.asarray(self._rule(jnp.asarray(batch["image"])))}


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
    return run.experiment.scan(source, run.config.batch_size, places(run, source, most))


def places(run: Run, source: data.Source, most: int) -> Int[np.ndarray, "images"]:
    """Where in a source the images are that `drawn` passes over."""
    if len(source) <= most:
        return np.arange(len(source))
    rng = np.random.default_rng(run.experiment.config.seed)
    return np.sort(rng.choice(len(source), most, replace=False))


def read(run: Run, source: data.Source, places: Int[np.ndarray, "images"]) -> Images:
    """Reads the images at some places of a source, in this order; a place may come again."""
    order, back = np.unique(places, return_inverse=True)
    return run.experiment.load(data.Subset(source, order, only=("image",)))["image"][back]
