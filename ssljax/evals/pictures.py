"""Pictures of what a method generates: samples, the ways between them, their nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8
from ml_collections import ConfigDict

from ssljax import data, mesh, metrics, report
from ssljax.errors import UserError
from ssljax.evals import gallery, generation, sampling
from ssljax.evals.contract import GENERATOR, Evaluation, Run, Scores, leave_out
from ssljax.evals.extract import Extracted, extract, stream
from ssljax.methods.contract import TrainState
from ssljax.methods.protocols import Generator

_SIDE = 8
"""A picture shows 8x8 samples, 8 interpolations of 8 images, the neighbours of 8 samples."""


class Pictures(Evaluation):
    """Pictures of a generator.

    They are "samples" of the same latents at every step; "interpolations", a row each, that begin
    with the first samples; "real_and_samples"; and "neighbors", in each row one of the first
    samples and then the training images at the smallest distance: in the features of
    `config.evals.generator.extractor`, and in pixels where that is empty.
    """

    name = "pictures"
    rows = GENERATOR._replace(without="", untrained="")

    @staticmethod
    def default_config() -> ConfigDict:
        """How many training images are searched for the nearest."""
        return ConfigDict(dict(neighbors=50000))

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if nothing is generated."""
        generation.check_generates(run, self.name)
        check_channels(run.experiment.task.image_shape[2], leave_out(self.name))
        if run.config.generator.extractor:
            run.once(generation.open_extractor)
        return ()

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Draws the generator of a state."""
        assert state is not None
        samples, walks = mesh.to_host(run.once(_shower, run.generator(state))(state))
        first = samples[:_SIDE]
        nearest, places = _nearest(run, first)
        found = np.concatenate([first[:, None], nearest], axis=1)
        half = samples[: _SIDE * _SIDE // 2]
        drawn = np.random.default_rng(run.experiment.config.seed).permutation(places)
        reals = _read(run, drawn[: len(half)])
        return Scores(
            pictures={
                "samples": report.grid(samples, _SIDE),
                "interpolations": report.grid(walks, _SIDE),
                "real_and_samples": report.beside(
                    [report.grid(images, _SIDE // 2) for images in (reals, half)]
                ),
                "neighbors": report.grid(found.reshape(-1, *first.shape[1:]), found.shape[1]),
            }
        )


def check_channels(channels: int, instead: str) -> None:
    """Raises a `UserError` if images of so many channels are no pictures.

    Args:
      channels: Of the generated images.
      instead: What to do without them.
    """
    if channels not in (1, 3):
        raise UserError(
            f"Pictures need images of 1 or 3 channels, and these have {channels}: {instead}."
        )


def _shower(run: Run, method: Generator) -> Callable[[TrainState], tuple[Array, Array]]:
    """Makes the jitted function that draws the fixed latents, and the walks between them."""
    count = _SIDE * _SIDE

    def show(state: TrainState) -> tuple[Array, Array]:
        latents = method.latents(sampling.picture_key(run.experiment.config.seed), count)
        starts, ends = (
            jax.tree.map(lambda x, part=part: x[part], latents)
            for part in (slice(0, _SIDE), slice(_SIDE, 2 * _SIDE))
        )
        walks = sampling.interpolate(starts, ends, _SIDE)
        samples, between = (
            sampling.generate(method, run.mesh, state, which, count) for which in (latents, walks)
        )
        return samples, between

    return jax.jit(show, out_shardings=mesh.replicated(run.mesh))


def _training(run: Run) -> data.Scan:
    return gallery.training(run, run.config.pictures.neighbors)


def _training_features(run: Run) -> Extracted:
    extractor, training = run.once(generation.open_extractor), _training(run)
    return extract(
        lambda images: {"features": extractor.features(images)},
        generation.reals(run, training),
        mesh=run.mesh,
        count=len(training),
    )


def _read(run: Run, places: Int[np.ndarray, "images"]) -> gallery.Images:
    """Training images as they are generated."""
    images = gallery.read(run, run.experiment.source, places)
    rule = run.once(generation.real_rule)
    return np.asarray(rule(jnp.asarray(images))) if rule else images


def _nearest(
    run: Run, images: gallery.Images
) -> tuple[UInt8[np.ndarray, "images near height width channels"], Int[np.ndarray, "training"]]:
    """The training images that each image is nearest to; and the places of all of them."""
    places: list[np.ndarray] = []

    def pixels() -> Iterator[np.ndarray]:
        for part in stream(_every_pixel, generation.reals(run, _training(run)), mesh=run.mesh):
            places.append(part.places)
            yield part.outputs["features"]

    if run.config.generator.extractor:
        training = run.once(_training_features)
        padding = -len(images) % run.mesh.size
        padded = jnp.pad(images, [(0, padding), (0, 0), (0, 0), (0, 0)])
        features = run.once(generation.open_extractor).features(padded)
        queries: np.ndarray = mesh.to_host(features)[: len(images)]
        places.append(training.places)
        parts: Iterable[np.ndarray] = [training.outputs["features"]]
    else:
        queries, parts = images.reshape(len(images), -1), pixels()
    rows = metrics.nearest_rows(queries, parts, _SIDE - 1)
    every = np.concatenate(places)
    found = _read(run, every[rows.ravel()])
    return found.reshape(*rows.shape, *images.shape[1:]), every


@jax.jit
def _every_pixel(images: Array) -> dict[str, Array]:
    return {"features": images.reshape(images.shape[0], -1)}
