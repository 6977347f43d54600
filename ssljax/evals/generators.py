"""What is seen and measured of a method that generates images: pictures and scores."""

from __future__ import annotations

import functools
import logging
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from ssljax import config as configs
from ssljax import data, evals, mesh, metrics, report
from ssljax.errors import UserError
from ssljax.evals import extractors, generative
from ssljax.methods.contract import Method, TrainState
from ssljax.run.experiment import Experiment

PyTree = Any
Images = UInt8[np.ndarray, "count height width channels"]

_log = logging.getLogger(__name__)

_METRICS = {
    "fid": ("fid",),
    "kid": ("kid",),
    "inception_score": ("is",),
    "precision_recall": ("precision", "recall"),
}
_COVERAGE = ("class_kl", "classes_hit")
_LESS_IS_BETTER = ("fid", "kid")
_LEAST_IMAGES = 10
"""Of which any score can be taken: the Inception score's parts, the neighbours of a point."""
# Initialisation and training have split the numbers 0 and 1 off the seed's key.
_PICTURED, _SCORED = 2, 3
_SIDE = 8
"""A picture shows 8x8 samples, 8 interpolations of 8 images, the neighbours of 8 samples."""


def picture_key(seed: int) -> PRNGKeyArray:
    """The key of the latents that are shown, the same at every step of a run."""
    return jax.random.fold_in(jax.random.key(seed), _PICTURED)


def make_sampler(experiment: Experiment) -> Callable[[TrainState, PRNGKeyArray, int], Array]:
    """Makes a jitted `sample(state, key, count)` that gives uint8 images of a method's generator.

    The images depend on state, key and count alone; where the devices divide the count, each makes
    a part of it.
    """
    method, split = experiment.method, mesh.batch_sharding(experiment.mesh)

    def sample(state: TrainState, key: PRNGKeyArray, count: int) -> Array:
        return _generate(method, state, method.latents(key, count), count, split)

    return jax.jit(sample, static_argnums=2)


def interpolate(start: PyTree, end: PyTree, count: int) -> PyTree:
    """Walks on straight lines from latents to latents.

    Args:
      start: Arrays with one row for each line.
      end: The same, of the lines' ends.
      count: Latents on a line, both ends included.

    Returns:
      Arrays with `count` rows for each line, line by line. What is not a float, such as a class,
      stays that of the start.
    """

    def walk(a: Array, b: Array) -> Array:
        if not jnp.issubdtype(a.dtype, jnp.floating):
            return jnp.repeat(a, count, axis=0)
        way = jnp.linspace(0, 1, count, dtype=a.dtype).reshape(1, count, *[1] * (a.ndim - 1))
        return (a[:, None] * (1 - way) + b[:, None] * way).reshape(-1, *a.shape[1:])

    return jax.tree.map(walk, start, end)


class GeneratorEvaluator:
    """Pictures and scores of the generator of one run.

    Args:
      experiment: A run whose method generates.
      read: Opens a split of the evaluations' data set.
    """

    def __init__(self, experiment: Experiment, read: Callable[[str], data.Scan]) -> None:
        self._experiment = experiment
        self._read = read
        self._config = experiment.config.evals
        self._sample = make_sampler(experiment)
        self._shown = jax.jit(self._show, out_shardings=mesh.replicated(experiment.mesh))

    def names(self, which: Iterable[str]) -> tuple[str, ...]:
        """Names of the scores of which more is better, where no image is corrupt."""
        metrics = [metric for name in which for metric in _METRICS[name]]
        return tuple(
            generative.Score(
                metric=metric,
                value=0.0,
                count=self._config.generator.count,
                reference_count=0
                if metric == "is"
                else len(self._read(self._config.generator.split)),
                dataset=self._dataset,
                split=self._config.generator.split,
                resizer=self._extractor.resizer,
                extractor=self._extractor.name,
            ).name
            for metric in metrics
            if metric not in _LESS_IS_BETTER
        )

    def check(self, which: Iterable[str]) -> None:
        """Raises a `UserError` now if one of these scores cannot be computed later."""
        which = tuple(which)
        if not which:
            return
        extractor, generator = self._extractor, self._config.generator
        if "inception_score" in which and extractor.logits is None:
            raise UserError(
                f"The Inception score needs a classifier, and {extractor.name} has none: take "
                '"inception_score" out of config.evals.during and config.evals.final, or name the '
                f"safetensors file of the Inception network in {extractors.KEY}."
            )
        images = jax.ShapeDtypeStruct(
            (self._experiment.mesh.size, *self._experiment.task.image_shape), np.uint8
        )
        dim = jax.eval_shape(extractor.features, images).shape[1]
        sizes = {
            "config.evals.generator.count": generator.count,
            f"the number of images in {generator.split}": len(self._read(generator.split)),
        }
        if self._config.baselines:
            sizes[f"the number of images in {self._held_out_split}"] = len(self._held_out)
        least = max(dim, _LEAST_IMAGES)
        for name, size in sizes.items():
            if size < least:
                raise UserError(
                    f"{name} is {size}, and {extractor.name} has {dim} features, of which a score "
                    f"needs at least {least} images: use more, or another {extractors.KEY}."
                )
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self._cache} cannot be made ({error.strerror}): {_CACHE}") from error
        if not os.access(self._cache, os.W_OK):
            raise UserError(f"{self._cache} cannot be written: {_CACHE}")

    def score(
        self, sheet: report.ScoreSheet, row: str, state: TrainState | None, which: Sequence[str]
    ) -> None:
        """Scores a generator; all scores of it share one pass over what it draws.

        Args:
          sheet: Gets the figures by their full names, with everything that gives them their
            meaning; and, where the real images have classes, how their coverage is.
          row: What the generator is called there.
          state: Its training state; None for real images, not among those compared with, in the
            generator's place.
          which: Some of "fid", "kid", "inception_score" and "precision_recall".
        """
        with sheet.attempt(row, which):
            reference = self._reference
            if state is None:
                fake = generative.measure(
                    self._extractor,
                    self._held_out,
                    mesh=self._experiment.mesh,
                    count=len(self._held_out),
                )
            else:
                fake = generative.measure_samples(
                    functools.partial(self._sample, state),
                    self._extractor,
                    key=jax.random.fold_in(jax.random.key(self._experiment.config.seed), _SCORED),
                    count=self._config.generator.count,
                    image_shape=self._experiment.task.image_shape,
                    mesh=self._experiment.mesh,
                    batch_size=self._config.batch_size,
                )
            for name in which:
                with sheet.attempt(row, [name]):
                    self._add(sheet, row, fake, reference, _METRICS[name])
            if reference.num_classes:
                with sheet.attempt(row, _COVERAGE):
                    self._add(sheet, row, fake, reference, _COVERAGE)

    def _add(
        self,
        sheet: report.ScoreSheet,
        row: str,
        fake: generative.SetStatistics,
        reference: generative.Reference,
        metrics: Sequence[str],
    ) -> None:
        found = generative.compare(fake, reference, self._extractor, metrics)
        for score in found.values():
            spread = {} if score.spread is None else {f"{score.name}_std": score.spread}
            sheet.add(row, {score.name: score.value} | spread)

    def pictures(self, state: TrainState) -> dict[str, report.Picture]:
        """Draws pictures with the generator of a state.

        Args:
          state: Training state.

        Returns:
          By name: "samples" of the same latents at every step; "interpolations", a row each, that
          begin with the first samples; "real_and_samples"; and "neighbors", in each row one of the
          first samples and then the training images at the smallest distance in the extractor's
          features where a score needs one, and in pixels otherwise.
        """
        samples, walks = (np.asarray(images) for images in self._shown(state))
        first = samples[:_SIDE]
        nearest, places = self._nearest(first)
        found = np.concatenate([first[:, None], nearest], axis=1)
        half = samples[: _SIDE * _SIDE // 2]
        drawn = np.random.default_rng(self._experiment.config.seed).permutation(places)
        return {
            "samples": report.grid(samples, _SIDE),
            "interpolations": report.grid(walks, _SIDE),
            "real_and_samples": report.beside(
                [report.grid(x, _SIDE // 2) for x in (self._real(drawn[: len(half)]), half)]
            ),
            "neighbors": report.grid(found.reshape(-1, *first.shape[1:]), found.shape[1]),
        }

    def _show(self, state: TrainState) -> tuple[Array, Array]:
        """Images of the fixed latents, and of the walks between them; runs under jit."""
        method, split = self._experiment.method, mesh.batch_sharding(self._experiment.mesh)
        count = _SIDE * _SIDE
        latents = method.latents(picture_key(self._experiment.config.seed), count)
        starts, ends = (
            jax.tree.map(lambda x, part=part: x[part], latents)
            for part in (slice(0, _SIDE), slice(_SIDE, 2 * _SIDE))
        )
        walks = interpolate(starts, ends, _SIDE)
        samples, between = (
            _generate(method, state, which, count, split) for which in (latents, walks)
        )
        return samples, between

    @functools.cached_property
    def _extractor(self) -> generative.Extractor:
        path = self._config.generator.extractor
        if not path:
            raise UserError(
                "A score of a generator compares features: name in config.evals.generator.extractor"
                " a safetensors file of the Inception network, or the --workdir of a run whose "
                "encoder shall be taken."
            )
        task = self._experiment.task
        return extractors.open_extractor(path, task.image_shape, self._experiment.mesh)

    @property
    def _cache(self) -> pathlib.Path:
        """Where features of real images are kept."""
        generator = self._config.generator
        if generator.cache:
            return pathlib.Path(generator.cache).expanduser().absolute()
        place = pathlib.Path(generator.extractor).expanduser().absolute()
        return (place.parent if place.is_file() else place) / "reference"

    @property
    def _dataset(self) -> str:
        return self._config.name or self._experiment.config.data.name

    @functools.cached_property
    def _reference(self) -> generative.Reference:
        """The real images that generated ones are compared with."""
        split = self._config.generator.split
        scan = self._read(split)
        reference = generative.measure_reference(
            scan,
            self._extractor,
            dataset=self._dataset,
            split=split,
            image_shape=self._experiment.task.image_shape,
            num_classes=scan.source.num_classes,
            count=len(scan),
            mesh=self._experiment.mesh,
            cache=self._cache,
        )
        unknown = int(np.sum(reference.labels < 0))
        if unknown and reference.num_classes and jax.process_index() == 0:
            _log.warning(
                "%d images of %s/%s have no label and are left out where classes are counted.",
                unknown,
                self._dataset,
                split,
            )
        return reference

    @property
    def _held_out_split(self) -> str:
        """The split of train and test that generated images are not compared with."""
        train, test = self._config.train_split, self._config.test_split
        compared = self._config.generator.split.split("[")[0]
        return test if compared == train.split("[")[0] else train

    @functools.cached_property
    def _held_out(self) -> data.Scan:
        """As many real images of the other split as are generated, or all there are."""
        source = self._read(self._held_out_split).source
        order = np.random.default_rng(self._experiment.config.seed).permutation(len(source))
        order = order[: self._config.generator.count]
        return self._experiment.scan(source, self._config.batch_size, order)

    @functools.cached_property
    def _training(self) -> data.Scan:
        """Training images, among which neighbours are sought."""
        source, most = self._experiment.source, self._config.generator.neighbors
        order = np.arange(len(source))
        if len(source) > most:
            rng = np.random.default_rng(self._experiment.config.seed)
            order = np.sort(rng.choice(len(source), most, replace=False))
        return self._experiment.scan(source, self._config.batch_size, order)

    @property
    def _compares_features(self) -> bool:
        """Whether the distance between neighbours is that of features, and not of pixels."""
        return bool({*self._config.during, *self._config.final} & {*configs.GENERATOR_EVALS})

    @functools.cached_property
    def _training_features(self) -> evals.Extracted:
        return evals.extract(
            lambda images: {"features": self._extractor.features(images)},
            self._training,
            mesh=self._experiment.mesh,
            count=len(self._training),
        )

    def _nearest(
        self, images: Images
    ) -> tuple[UInt8[np.ndarray, "images near height width channels"], Int[np.ndarray, "training"]]:
        """The training images that each image is nearest to; and the places of all of them."""
        places: list[np.ndarray] = []

        def pixels() -> Iterator[np.ndarray]:
            training = self._training
            for part in evals.stream(_pixels, training, mesh=self._experiment.mesh):
                places.append(part.places)
                yield part.outputs["features"]

        if self._compares_features:
            padding = -len(images) % self._experiment.mesh.size
            padded = jnp.pad(images, [(0, padding), (0, 0), (0, 0), (0, 0)])
            queries = np.asarray(self._extractor.features(padded))[: len(images)]
            places.append(self._training_features.places)
            parts: Iterable[np.ndarray] = [self._training_features.outputs["features"]]
        else:
            queries, parts = images.reshape(len(images), -1), pixels()
        rows = metrics.nearest_rows(queries, parts, _SIDE - 1)
        every = np.concatenate(places)
        found = self._real(every[rows.ravel()])
        return found.reshape(*rows.shape, *images.shape[1:]), every

    def _real(self, places: Int[np.ndarray, "images"]) -> Images:
        """Reads some training images."""
        order, back = np.unique(places, return_inverse=True)
        source = data.Subset(self._experiment.source, order)
        return self._experiment.load(source)["image"][back]


_CACHE = "name a directory for the features of real images in config.evals.generator.cache."


def _generate(
    method: Method, state: TrainState, latents: PyTree, count: int, split: NamedSharding
) -> UInt8[Array, "count height width channels"]:
    """Makes images of latents, on all devices where they divide the count; runs under jit."""
    if count % split.mesh.size == 0:
        latents = jax.lax.with_sharding_constraint(latents, split)
    return generative.to_pixels(method.generate(state, latents))


@jax.jit
def _pixels(images: Array) -> dict[str, Array]:
    return {"features": evals.raw_pixels(images)}
