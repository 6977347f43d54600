"""Scores of translators: are the images those of the other domain, and do they keep what was shown.

All but FID and KID need no extractor of features. Its key and that of the cache are those of
generators, under `config.evals.generator`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import augment, data, mesh, metrics, report
from ssljax.evals import domains, gallery, generation, generative, translating
from ssljax.evals.contract import TRANSLATOR, Evaluation, Run, Scores, leave_out
from ssljax.evals.extract import Extracted, extract, raw_pixels
from ssljax.methods.contract import Method, TrainState

_NEAR = 0.1
"""Of values in [-1, 1]: about 13 of 255."""
_DISTANCES = ("fid", "kid")
_CLASSES = ("class_kl", "classes_hit", "class_accuracy")
_NEIGHBORS, _TEMPERATURE = 20, 0.07
"""As `metrics.class_coverage` has them."""


class Translation(Evaluation):
    """Scores of each translation, on images of the test split of the domain where it begins.

    Their names begin with that of the translation: "A_to_B/cycle_error".

    - "fid" and "kid" compare translations with images of the other domain's test split, where
      `config.evals.generator.extractor` names a network; their full names say the rest.
    - "cycle_error" is the mean absolute difference, in [-1, 1], between images and their
      translations there and back, where there is a way back; it passes through bytes.
    - "pairing_error" is that between translations and the right ones, where the data are pairs or
      one domain is the other changed by a rule of `ssljax.ops.known_mappings`, which then makes
      the right one of each image; "pairing_within_0.1" is the share of values that are no more
      than 0.1 away.
    - "class_kl", "classes_hit" and "class_accuracy" are of the classes of translations, where both
      domains have the same ones: each is classified by its nearest images among those that the
      other domain is trained on, in the extractor's features or, without one, in pixels. The first
      two are those of `metrics.class_coverage`, and tell of a translator that makes few kinds of
      images of many, the mode collapse of which Kim et al., DiscoGAN (arXiv:1703.05192), 2017,
      write; the third is the share whose class is that of the image it was made from.

    The baseline without a network leaves images as they are. The pictures show the first images, a
    row each: the original, its translation and the cycle.
    """

    name = "translation"
    higher_is_better = False
    rows = TRANSLATOR

    @staticmethod
    def default_config() -> ConfigDict:
        """Which images are translated.

        A split that is empty is the one that the domain is trained on, with "test" in the place of
        every "train": "testA" for "trainA", "test[:50%]" for "train[:50%]".
        """
        return ConfigDict(
            dict(
                test_a="",
                test_b="",
                count=10000,  # At most, of each split.
            )
        )

    def stages(self, run: Run) -> tuple[str, ...]:
        """None: the whole network translates."""
        return ()

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if nothing is translated, or there is nothing to compare it with."""
        method = _translator(run.experiment.method, run)
        return tuple(
            f"{translating.plain(way)}/{name}"
            for way in method.translations()
            for name in _names(run, method, way)
        )

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores the translations of a state."""
        method = run.experiment.method if state is None else run.method(state)
        values: dict[str, float] = {}
        pictures: dict[str, report.Picture] = {}
        for way in _translator(method, run).translations():
            found = _extracted(run, method, state, way)
            name = translating.plain(way)
            values |= {f"{name}/{key}": value for key, value in _scores(run, way, found).items()}
            if state is not None and run.experiment.task.image_shape[2] in (1, 3):
                pictures[f"translation_{name}"] = _picture(run, method, state, way, found.places)
        return Scores(values, pictures)


def _translator(method: Method, run: Run) -> Any:
    name = run.experiment.config.method.name
    return translating.check_translates(method, name, leave_out(Translation.name))


def _names(run: Run, method: Any, way: str) -> tuple[str, ...]:
    """Names of the scores to come; opens what they need."""
    source, target, are_paired = domains.between(run, way)
    names: list[str] = []
    if run.config.generator.extractor:
        sizes = {
            f"the number of images in {domain.dataset}/{domain.split}": len(domain.test)
            for domain in (source, target)
        }
        extractor = _extractor(run, way)
        generation.check_compares(run, extractor, domains.image_shape(run, source), sizes)
        names += generation.score_names(
            extractor, _DISTANCES, len(source.test), len(target.test), target.dataset, target.split
        )
    if translating.way_back(method, way) is not None:
        names.append("cycle_error")
    if are_paired:
        names += ["pairing_error", f"pairing_within_{_NEAR}"]
    if run.once(_classes, way):
        names += _CLASSES
    return tuple(names)


def _extractor(run: Run, way: str) -> generative.Extractor:
    """Opens the network whose features are compared."""
    shape = domains.image_shape(run, domains.between(run, way).source)
    return run.once(generation.open_extractor, shape)


def _classes(run: Run, way: str) -> int:
    """How many classes translations may have; 0 where the domains have no such classes."""
    source, target, _ = domains.between(run, way)
    names = target.training.class_names
    if len(names) < 2 or names != source.test.source.class_names:
        return 0
    if not _present(run, source.test.source):
        return 0
    return len(names) if len(_present(run, target.training)) > 1 else 0


def _present(run: Run, source: data.Source) -> set[int]:
    """The classes of the images of a source that are read."""
    places = gallery.places(run, source, run.config.translation.count)
    threads = run.experiment.config.data.threads or None
    labels = data.read_labels(data.Subset(source, places), threads)
    return set(labels.tolist()) - {data.NO_LABEL}


def _read(run: Run, way: str, images: Array) -> dict[str, Array]:
    """Features by which images are compared and classified."""
    if not run.config.generator.extractor:
        return raw_pixels(images)
    extractor = _extractor(run, way)
    return {"features": extractor.features(images).astype(jnp.float32)}


def _extracted(run: Run, method: Any, state: TrainState | None, way: str) -> Extracted:
    """Errors of each image, and features of its translation."""
    look = run.once(_looker, method, way)
    source = domains.between(run, way).source
    has_features = bool(run.config.generator.extractor or run.once(_classes, way))

    def outputs(images: Array) -> dict[str, Array]:
        found = dict(look(state, images))
        made = found.pop("made")
        return found | (_read(run, way, made) if has_features else {})

    return extract(outputs, source.test, mesh=run.mesh, count=len(source.test))


def _looker(run: Run, method: Any, way: str) -> Callable[..., dict[str, Array]]:
    """Makes the jitted function that translates a batch and measures the errors of each image."""
    source, target, are_paired = domains.between(run, way)

    def mean(values: Array) -> Array:
        return jnp.mean(values.astype(jnp.float32), axis=(1, 2, 3))

    @jax.jit
    def look(state: TrainState | None, read: Array) -> dict[str, Array]:
        images = source.rule(read)
        made = translating.there_and_back(method, state, images, way)
        found = {"made": generative.to_pixels(made.there)}
        if made.back is not None:
            found["cycle_error"] = mean(jnp.abs(made.back - augment.to_tanh_range(images)))
        if are_paired:
            error = jnp.abs(made.there - augment.to_tanh_range(target.rule(read)))
            found["pairing_error"] = mean(error)
            found[f"pairing_within_{_NEAR}"] = mean(error <= _NEAR)
        return found

    return look


def _scores(run: Run, way: str, found: Extracted) -> dict[str, float]:
    """All scores of one translation."""
    values: dict[str, float] = {}
    if run.config.generator.extractor:
        values |= generation.compared(
            generative.summarize(found.outputs["features"]),
            run.once(_reference, way),
            _extractor(run, way),
            *_DISTANCES,
        )
    values |= {
        name: float(np.mean(rows, dtype=np.float64))
        for name, rows in found.outputs.items()
        if name != "features"
    }
    if count := run.once(_classes, way):
        values |= dict(zip(_CLASSES, _classified(run, way, found, count), strict=True))
    return values


def _classified(run: Run, way: str, found: Extracted, count: int) -> tuple[float, float, float]:
    """The three scores of the classes of translations."""
    known, features = run.once(_training, way), found.outputs["features"]
    bank = known.outputs["features"], known.labels
    divergence, hit = metrics.class_coverage(features, *bank, count)
    accuracy = metrics.knn_accuracy(*bank, features, found.labels, count, _NEIGHBORS, _TEMPERATURE)
    return divergence, float(hit), accuracy


def _training(run: Run, way: str) -> Extracted:
    """Features of labelled images that the domain where a translation leads is trained on."""
    target = domains.between(run, way).target
    scan = gallery.drawn(run, target.training, run.config.translation.count)
    rule = jax.jit(target.rule)

    def outputs(images: Array) -> dict[str, Array]:
        return _read(run, way, rule(images))

    return extract(outputs, scan, mesh=run.mesh, count=len(scan), labelled=True)


def _reference(run: Run, way: str) -> generative.Reference:
    """The images that translations are compared with."""
    target = domains.between(run, way).target
    return generative.measure_reference(
        target.images(),
        _extractor(run, way),
        dataset=target.dataset,
        split=target.split,
        image_shape=domains.image_shape(run, target),
        num_classes=None,
        count=len(target.test),
        mesh=run.mesh,
        cache=generation.reference_cache(run),
    )


def _picture(
    run: Run, method: Any, state: TrainState, way: str, places: np.ndarray
) -> report.Picture:
    """Shows the translations of the first images, a row each."""
    source = domains.between(run, way).source
    images = gallery.read(run, source.test.source, places[: translating.SHOWN])
    show = run.once(_shower, method, way)
    shown = mesh.to_host(show(state, images))
    return translating.picture([column for column in shown if column is not None])


def _shower(run: Run, method: Any, way: str) -> Callable[..., Any]:
    source = domains.between(run, way).source

    @functools.partial(jax.jit, out_shardings=mesh.replicated(run.mesh))
    def show(state: TrainState, read: Array) -> tuple[Array | None, ...]:
        images = source.rule(read)
        made = translating.there_and_back(method, state, images, way)
        back = None if made.back is None else generative.to_pixels(made.back)
        return images, generative.to_pixels(made.there), back

    return show
