"""Scores of generators, which compare features of what they draw with those of real images.

All of one state share one pass over what it draws; the features of the real images are kept on disk
between evaluations. Their keys stand together under `config.evals.generator`.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ssljax import data, paths
from ssljax.errors import UserError
from ssljax.evals import extractors, gallery, generative, labels, sampling
from ssljax.evals.contract import GENERATOR, Evaluation, Run, Scores, leave_out
from ssljax.methods.contract import TrainState
from ssljax.methods.protocols import Generator, Reconstructor

_log = logging.getLogger(__name__)
_LEAST_IMAGES = 10
"""Of which any score can be taken: the Inception score's parts, the neighbours of a point."""
_CACHE = "name a directory for the features of real images in config.evals.generator.cache."


def shared_config() -> ConfigDict:
    """The keys that the scores of generators share, `config.evals.generator`."""
    return ConfigDict(
        dict(
            # A safetensors file of the Inception network, or the workdir of a run.
            extractor="",
            cache="",  # Keeps features of real images; empty: beside the extractor.
            count=10000,  # Images that are generated.
            split="test",  # Real images that they are compared with.
        )
    )


class Fid(Evaluation):
    """Fréchet distance of features: see `ssljax.metrics.frechet_distance`."""

    name = "fid"
    higher_is_better = False
    rows = GENERATOR

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if generated images cannot be compared with real ones."""
        return _check(run, self.name, "fid")

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores what the generator draws."""
        return _score(run, state, "fid")


class Kid(Evaluation):
    """Kernel distance of features: see `ssljax.metrics.kernel_distance`."""

    name = "kid"
    higher_is_better = False
    rows = GENERATOR

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if generated images cannot be compared with real ones."""
        return _check(run, self.name, "kid")

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores what the generator draws."""
        return _score(run, state, "kid")


class InceptionScore(Evaluation):
    """How surely, and as how many classes, images are classified: see `metrics.inception_score`."""

    name = "inception_score"
    rows = GENERATOR

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if generated images cannot be classified."""
        names = _check(run, self.name, "is")
        extractor = run.once(open_extractor)
        if extractor.logits is None:
            raise UserError(
                f"The Inception score needs a classifier, and {extractor.name} has none: "
                f"{leave_out(self.name)}, or name the safetensors file of the Inception network "
                f"in {extractors.KEY}."
            )
        return names

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores what the generator draws."""
        return _score(run, state, "is")


class PrecisionRecall(Evaluation):
    """Which images lie among one another's neighbours: see `ssljax.metrics.precision_recall`."""

    name = "precision_recall"
    rows = GENERATOR

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if generated images cannot be compared with real ones."""
        return _check(run, self.name, "precision", "recall")

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores what the generator draws."""
        return _score(run, state, "precision", "recall")


class Coverage(Evaluation):
    """Which classes are drawn, and how often: see `ssljax.metrics.class_coverage`."""

    name = "coverage"
    higher_is_better = False
    rows = GENERATOR

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if the real images have no classes."""
        names = _check(run, self.name, "class_kl", "classes_hit")
        labels.count(run, run.open(run.config.generator.split), self.name)
        return names

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores what the generator draws."""
        return _score(run, state, "class_kl", "classes_hit")


def check_generates(run: Run, evaluation: str) -> None:
    """Raises a `UserError` if the method of a run draws no images."""
    if not isinstance(run.experiment.method, Generator):
        raise UserError(
            f"The method {run.experiment.config.method.name} generates no images that could be "
            f"scored: {leave_out(evaluation)}."
        )


def open_extractor(
    run: Run, image_shape: tuple[int, int, int] | None = None
) -> generative.Extractor:
    """Opens the network whose features are compared.

    Args:
      run: The run.
      image_shape: (height, width, channels) of the images; by default those that are generated.
    """
    path = run.config.generator.extractor
    if not path:
        raise UserError(
            "A score of a generator compares features: name in config.evals.generator.extractor"
            " a safetensors file of the Inception network, or the --workdir of a run whose "
            "encoder shall be taken."
        )
    shape = image_shape or generated_shape(run)
    return extractors.open_extractor(path, shape, run.mesh)


def generated_shape(run: Run) -> tuple[int, int, int]:
    """(height, width, channels) of generated images: those of the data, or of reconstructions."""
    shape: tuple[int, int, int] = run.experiment.task.image_shape
    if not (rule := run.once(real_rule)):
        return shape
    images = jax.ShapeDtypeStruct((run.mesh.size, *shape), np.uint8)
    _, height, width, channels = jax.eval_shape(rule, images).shape
    return height, width, channels


def real_rule(run: Run) -> gallery.Rule | None:
    """What makes images of the data what generated ones stand for; None for the whole images.

    A method that makes images again from their codes cuts and reduces them, and generates such
    images.
    """
    method = run.experiment.method
    if not isinstance(method, Reconstructor):
        return None
    return jax.jit(lambda images: generative.to_pixels(method.targets(images)))


def reals(run: Run, scan: data.Scan) -> data.Scan | gallery.Ruled:
    """Passes over real images as they are generated."""
    rule = run.once(real_rule)
    return gallery.Ruled(scan, rule) if rule else scan


def sampler(run: Run, method: Generator) -> sampling.Sampler:
    """Makes the jitted function that draws images of a method."""
    return sampling.make_sampler(method, run.mesh)


def _check(run: Run, evaluation: str, *metrics: str) -> tuple[str, ...]:
    """Raises a `UserError` if a score cannot be had later; gives the names of what comes."""
    check_generates(run, evaluation)
    config = run.config.generator
    compared_with = len(run.open(config.split))
    sizes = {
        "config.evals.generator.count": config.count,
        f"the number of images in {config.split}": compared_with,
    }
    if run.config.baselines:
        held_out = run.once(_held_out)
        sizes[f"the number of images in {held_out.source.split}"] = len(held_out)
    extractor = run.once(open_extractor)
    check_compares(run, extractor, generated_shape(run), sizes)
    return score_names(extractor, metrics, config.count, compared_with, run.dataset, config.split)


def check_compares(
    run: Run,
    extractor: generative.Extractor,
    image_shape: tuple[int, int, int],
    sizes: Mapping[str, int],
) -> None:
    """Raises a `UserError` if sets of images cannot be compared by an extractor.

    Args:
      run: The run.
      extractor: What gives the features.
      image_shape: (height, width, channels) of the images.
      sizes: Numbers of images in the sets, by what they are called.
    """
    images = jax.ShapeDtypeStruct((run.mesh.size, *image_shape), np.uint8)
    try:
        dim = jax.eval_shape(extractor.features, images).shape[1]
    except ValueError as error:
        raise UserError(f"{extractor.name} cannot read these images: {error}") from error
    least = max(dim, _LEAST_IMAGES)
    for name, size in sizes.items():
        if size < least:
            raise UserError(
                f"{name} is {size}, and {extractor.name} has {dim} features, of which a score "
                f"needs at least {least} images: use more, or another {extractors.KEY}."
            )
    cache = reference_cache(run)
    try:
        paths.make_directory(cache)
    except OSError as error:
        raise UserError(f"{cache} cannot be made ({error.strerror}): {_CACHE}") from error
    if not paths.is_remote(cache) and not os.access(cache, os.W_OK):
        raise UserError(f"{cache} cannot be written: {_CACHE}")


def score_names(
    extractor: generative.Extractor,
    metrics: Sequence[str],
    count: int,
    reference_count: int,
    dataset: str,
    split: str,
) -> tuple[str, ...]:
    """The full names of scores to come: see `generative.Score`."""
    return tuple(
        generative.Score(
            metric=metric,
            value=0.0,
            count=count,
            reference_count=0 if metric == "is" else reference_count,
            dataset=dataset,
            split=split,
            resizer=extractor.resizer,
            extractor=extractor.name,
        ).name
        for metric in metrics
    )


def _score(run: Run, state: TrainState | None, *metrics: str) -> Scores:
    """Figures by their full names, with all without which they mean nothing."""
    drawn = run.shared(_measured, state)
    return Scores(compared(drawn.fake, drawn.reference, run.once(open_extractor), *metrics))


def compared(
    fake: generative.SetStatistics,
    reference: generative.Reference,
    extractor: generative.Extractor,
    *metrics: str,
) -> dict[str, float]:
    """Scores of measured images, and their spreads, by their full names."""
    values: dict[str, float] = {}
    for score in generative.compare(fake, reference, extractor, metrics).values():
        spread = {} if score.spread is None else {f"{score.name}_std": score.spread}
        values |= {score.name: score.value} | spread
    return values


class _Drawn(NamedTuple):
    """Generated images, or others in their place, and the real ones they are compared with."""

    fake: generative.SetStatistics
    reference: generative.Reference


def _measured(run: Run, state: TrainState | None) -> _Drawn:
    """Measures what a generator draws, or real images that are not among those compared with."""
    extractor, reference = run.once(open_extractor), run.once(_reference)
    if state is None:
        held_out = reals(run, run.once(_held_out))
        fake = generative.measure(extractor, held_out, mesh=run.mesh, count=len(held_out))
    else:
        fake = generative.measure_samples(
            functools.partial(run.once(sampler, run.generator(state)), state),
            extractor,
            key=sampling.score_key(run.experiment.config.seed),
            count=run.config.generator.count,
            image_shape=generated_shape(run),
            mesh=run.mesh,
            batch_size=run.config.batch_size,
        )
    return _Drawn(fake, reference)


def _reference(run: Run) -> generative.Reference:
    """The real images that generated ones are compared with."""
    split = run.config.generator.split
    scan = run.open(split)
    reference = generative.measure_reference(
        reals(run, scan),
        run.once(open_extractor),
        dataset=run.dataset,
        split=split,
        image_shape=generated_shape(run),
        num_classes=scan.source.num_classes,
        count=len(scan),
        mesh=run.mesh,
        cache=reference_cache(run),
    )
    unknown = int(np.sum(reference.labels < 0))
    if unknown and reference.num_classes and jax.process_index() == 0:
        _log.warning(
            "%d images of %s have no label and are left out where classes are counted.",
            unknown,
            run.name_of(split),
        )
    return reference


def _held_out(run: Run) -> data.Scan:
    """As many real images as are generated, or all, of train or test: the one not compared with."""
    config = run.config
    compared = config.generator.split.split("[")[0]
    is_train = compared == config.train_split.split("[")[0]
    source = run.open(config.test_split if is_train else config.train_split).source
    order = np.random.default_rng(run.experiment.config.seed).permutation(len(source))
    return run.experiment.scan(source, config.batch_size, order[: config.generator.count])


def reference_cache(run: Run) -> paths.Path:
    """Where features of real images are kept."""
    config = run.config.generator
    if config.cache:
        return paths.resolve(config.cache)
    place = paths.resolve(config.extractor)
    return (place.parent if place.is_file() else place) / "reference"
