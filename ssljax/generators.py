"""What is seen and measured of a method that generates images: pictures and scores."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array, PRNGKeyArray, Real, UInt8

from ssljax import config as configs
from ssljax import data, evals, extractors, mesh, report
from ssljax.errors import UserError
from ssljax.evals import generative
from ssljax.experiment import Experiment
from ssljax.methods.contract import Method, TrainState

PyTree = Any
Images = UInt8[np.ndarray, "count height width channels"]
Labelled = tuple[dict[str, np.ndarray], int | None]

_METRICS = {
    "fid": ("fid",),
    "kid": ("kid",),
    "inception_score": ("is",),
    "precision_recall": ("precision", "recall"),
}
_COVERAGE = ("class_kl", "classes_hit")
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
      read: Gives the images of a split of the evaluations' data set, their classes where they are
        known, and how many classes there are.
    """

    def __init__(self, experiment: Experiment, read: Callable[[str], Labelled]) -> None:
        self._experiment = experiment
        self._read = read
        self._config = experiment.config.evals
        self._sample = make_sampler(experiment)
        self._shown = jax.jit(self._show, out_shardings=mesh.replicated(experiment.mesh))

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
            f"the number of images in {generator.split}": len(self._reference[0]["image"]),
        }
        if self._config.baselines:
            sizes[f"the number of images in {self._held_out_split}"] = len(self._held_out)
        for name, size in sizes.items():
            if size < dim:
                raise UserError(
                    f"{name} is {size}, and {extractor.name} has {dim} features, of which a score "
                    f"needs at least {dim} images: use more, or another {extractors.KEY}."
                )
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self._cache} cannot be made ({error.strerror}): {_CACHE}") from error
        if not os.access(self._cache, os.W_OK):
            raise UserError(f"{self._cache} cannot be written: {_CACHE}")

    def scores(self, state: TrainState, which: Sequence[str]) -> dict[str, float]:
        """Scores the generator of a state.

        Args:
          state: Training state.
          which: Some of "fid", "kid", "inception_score" and "precision_recall".

        Returns:
          Figures by their full names, with all without which they mean nothing; and, where the real
          images have classes, how their coverage is.
        """
        count = self._config.generator.count
        return self._score(functools.partial(self._sample, state), count, which)

    def floor(self, which: Sequence[str]) -> dict[str, float]:
        """Scores real images that are not among those compared with, in the generator's place."""
        size, images = self._config.batch_size, self._held_out
        padded = np.pad(images, [(0, -len(images) % size), (0, 0), (0, 0), (0, 0)])
        batches = iter(padded.reshape(-1, size, *images.shape[1:]))
        return self._score(lambda key, n: next(batches), len(images), which)

    def pictures(self, state: TrainState) -> dict[str, report.Picture]:
        """Draws the generator of a state.

        Args:
          state: Training state.

        Returns:
          By name: "samples" of the same latents at every step; "interpolations", a row each, that
          begin with the first samples; "real_and_samples"; and "neighbors", in each row one of the
          first samples and then the training images at the smallest distance in the extractor's
          features where a score needs one, and in pixels otherwise.
        """
        samples, walks = (np.asarray(images) for images in self._shown(state))
        real, first = self._training, samples[:_SIDE]
        rows = self._training_features
        places = generative.nearest_rows(self._compared(first), rows, min(_SIDE - 1, len(rows)))
        found = np.concatenate([first[:, None], real[places]], axis=1)
        half = samples[: _SIDE * _SIDE // 2]
        drawn = np.random.default_rng(self._experiment.config.seed).permutation(len(real))
        return {
            "samples": report.grid(samples, _SIDE),
            "interpolations": report.grid(walks, _SIDE),
            "real_and_samples": report.beside(
                [report.grid(x, _SIDE // 2) for x in (real[drawn[: len(half)]], half)]
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

    def _score(
        self, sample: Callable[..., Any], count: int, which: Sequence[str]
    ) -> dict[str, float]:
        """Some of the scores of images that are drawn batch by batch."""
        metrics = (*(metric for name in which for metric in _METRICS[name]), *_COVERAGE)
        arrays, num_classes = self._reference
        classes = None
        if num_classes is not None and arrays["label"].min() >= 0:
            classes = arrays["label"], num_classes
        scores = generative.evaluate_generator(
            sample,
            arrays["image"],
            self._extractor,
            key=jax.random.fold_in(jax.random.key(self._experiment.config.seed), _SCORED),
            count=count,
            dataset=self._config.name or self._experiment.config.data.name,
            split=self._config.generator.split,
            mesh=self._experiment.mesh,
            batch_size=self._config.batch_size,
            cache=self._cache,
            classes=classes,
            metrics=metrics,
        )
        named: dict[str, float] = {}
        for score in scores.values():
            named[score.name] = score.value
            if score.spread is not None:
                named[f"{score.name}_std"] = score.spread
        return named

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
    def _reference(self) -> Labelled:
        """The real images that generated ones are compared with."""
        return self._read(self._config.generator.split)

    @property
    def _held_out_split(self) -> str:
        """Of train and test, the one that generated images are not compared with."""
        train, test = self._config.train_split, self._config.test_split
        compared = self._config.generator.split.split("[")[0]
        return test if compared == train.split("[")[0] else train

    @functools.cached_property
    def _held_out(self) -> Images:
        """As many real images of the other split as are generated, or all there are."""
        images = self._read(self._held_out_split)[0]["image"]
        order = np.random.default_rng(self._experiment.config.seed).permutation(len(images))
        return images[order[: self._config.generator.count]]

    @functools.cached_property
    def _training(self) -> Images:
        """Training images, among which neighbours are sought."""
        source, most = self._experiment.source, self._config.generator.neighbors
        if len(source) > most:
            rng = np.random.default_rng(self._experiment.config.seed)
            source = data.Subset(source, rng.choice(len(source), most, replace=False))
        return self._experiment.load(source)["image"]

    @functools.cached_property
    def _training_features(self) -> Real[np.ndarray, "rows dim"]:
        return self._compared(self._training)

    def _compared(self, images: Images) -> Real[np.ndarray, "rows dim"]:
        """What the distance between neighbours is measured in."""
        asked = {*self._config.during, *self._config.final} & {*configs.GENERATOR_EVALS}
        if not asked:
            return images.reshape(len(images), -1)
        return evals.extract(
            self._extractor.features,
            images,
            mesh=self._experiment.mesh,
            batch_size=self._config.batch_size,
        )


_CACHE = "name a directory for the features of real images in config.evals.generator.cache."


def _generate(
    method: Method, state: TrainState, latents: PyTree, count: int, split: NamedSharding
) -> UInt8[Array, "count height width channels"]:
    """Makes images of latents, on all devices where they divide the count; runs under jit."""
    if count % split.mesh.size == 0:
        latents = jax.lax.with_sharding_constraint(latents, split)
    return generative.to_pixels(method.generate(state, latents))
