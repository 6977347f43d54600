"""How near the images that a method makes again come to the images, and whether they mean the same.

A BiGAN's reconstructions may differ from an image in every pixel and still show the same thing.
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

from ssljax import augment, mesh, metrics, report
from ssljax.errors import UserError
from ssljax.evals import features, gallery, generation, labels
from ssljax.evals.contract import Evaluation, Rows, Run, Scores, leave_out
from ssljax.evals.extract import Extracted, extract, raw_pixels
from ssljax.evals.generative import to_pixels
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.protocols import Reconstructor

AGREEMENT = "class_agreement"
_ERRORS = ("absolute_error", "squared_error", "reconstruction_psnr")
_SHOWN, _PAIRS = 32, 4
"""Images in a picture, and how many of them, each beside its reconstruction, are in a row."""


class Reconstruction(Evaluation):
    """Errors of reconstructions of the test images, and the classes that they show.

    "class_agreement" is the share of labelled images whose reconstruction is classified as what the
    image is, by a weighted vote of its nearest training images; these are seen as the
    reconstructions are, cut and at their size. They are compared in pixels, for which those of more
    than 32 a side are made smaller to 32, or, where `config.evals.generator.extractor` names one,
    in its features. In the row "chance" stands the share of the commonest class. Perfect
    reconstructions have the accuracy of that vote. That is the score "knn<k>" of the row "raw
    pixels", with k and temperature the same, only without an extractor and where reconstructions
    are of whole images at the size of the data: the row "raw pixels" sees whole images. Where the
    training or the test images have no labels there is no such score.

    "absolute_error" and "squared_error" are means over pixels in [0, 1], and "reconstruction_psnr"
    is the mean over images of the signal-to-noise ratio in decibels: all of the labelled test
    images, or of all where none are compared by class. The picture has each image beside its
    reconstruction.
    """

    name = "reconstruction"
    higher_is_better = False
    rows = Rows("chance", "random network", "trained network")

    @staticmethod
    def default_config() -> ConfigDict:
        """The vote, as of kNN."""
        return ConfigDict(dict(neighbors=20, temperature=0.07))

    def stages(self, run: Run) -> tuple[str, ...]:
        """None: the whole network makes reconstructions."""
        return ()

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if nothing is reconstructed, or the vote cannot be taken."""
        method = _reconstructor(run.experiment.method, run)
        if not run.once(_has_classes):
            return _ERRORS
        wanted, train = run.config.reconstruction.neighbors, features.train_scan(run)
        enough = max(1, wanted)
        known = int(labels.count(run, train, self.name, lambda n: n.sum() >= enough).sum())
        if not 0 < wanted <= known:
            raise UserError(
                f"config.evals.reconstruction.neighbors is {wanted!r}, and "
                f"{run.name_of(train.source.split)} has {known} labelled images: ask for a number "
                "from 1 to that."
            )
        compared = _compared(run)
        images = jax.ShapeDtypeStruct((run.mesh.size, *run.experiment.task.image_shape), np.uint8)
        row = jax.eval_shape(lambda images: compared(method.targets(images)), images)
        features.check_room(
            run,
            row.dtype.itemsize * row.shape[1],
            "name a part of the images in config.evals.train_split, or another extractor in "
            f"config.evals.generator.extractor, or {leave_out(self.name)}",
        )
        return (AGREEMENT, *_ERRORS)

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores the reconstructions of a state."""
        has_classes = run.once(_has_classes)
        if state is None:
            if not has_classes:
                return Scores()
            counts = labels.count(run, features.test_scan(run), self.name, lambda n: False)
            return Scores({AGREEMENT: float(counts.max() / counts.sum())})
        method = run.method(state)
        test = features.test_scan(run)
        read = functools.partial(run.once(_reader, method, has_classes), state)
        if has_classes:
            found = features.labelled(run, read, test)
        else:
            found = extract(read, test, mesh=run.mesh, count=len(test))
        if not np.isfinite(found.outputs["squared_error"]).all():
            raise ValueError("Reconstructions are not finite: a score of them would mean nothing.")
        means = {
            name: float(np.mean(values, dtype=np.float64))
            for name, values in found.outputs.items()
            if name != "features"
        }
        is_shown = run.experiment.task.image_shape[2] in (1, 3)
        pictures = {self.name: _picture(run, method, state, found)} if is_shown else {}
        voted = {AGREEMENT: _agreement(run, method, found)} if has_classes else {}
        return Scores(voted | means, pictures)


def _has_classes(run: Run) -> bool:
    """Whether there are labels to learn from and to report on."""
    return labels.has_some(run, features.train_scan(run)) and labels.has_some(
        run, features.test_scan(run)
    )


def _agreement(run: Run, method: Method, found: Extracted) -> float:
    """The share of reconstructions that are classified as their images are."""
    bank, keys = run.once(_bank, method), run.config.reconstruction
    num_classes = features.train_scan(run).source.num_classes
    assert num_classes is not None
    votes = metrics.knn_accuracies(
        bank.outputs["features"],
        bank.labels,
        found.outputs["features"],
        found.labels,
        num_classes,
        settings=((keys.neighbors, keys.temperature),),
        mesh=run.mesh,
    )
    return next(iter(votes.values()))


def _reconstructor(method: Method, run: Run) -> Reconstructor:
    if not isinstance(method, Reconstructor):
        raise UserError(
            f"method.name={run.experiment.config.method.name!r} makes no reconstructions that "
            f"could be scored: {leave_out(Reconstruction.name)}."
        )
    return method


def _compared(run: Run) -> Callable[[Array], Array]:
    """What of images in [-1, 1] classes are told by."""
    if not run.config.generator.extractor:
        return lambda images: raw_pixels(to_pixels(images))["features"]
    extractor = run.once(generation.open_extractor)
    return lambda images: extractor.features(to_pixels(images))


def _bank(run: Run, method: Method) -> Extracted:
    """The training images, cut and reduced as reconstructions are."""
    targets, compared = _reconstructor(method, run).targets, _compared(run)

    @jax.jit
    def read(images: Array) -> dict[str, Array]:
        return {"features": compared(targets(images))}

    return features.labelled(run, read, features.train_scan(run))


def _reader(
    run: Run, method: Method, has_classes: bool
) -> Callable[[TrainState, Array], dict[str, Array]]:
    """Makes the jitted function that reconstructs a batch and marks it."""
    network, compared = _reconstructor(method, run), _compared(run) if has_classes else None

    @jax.jit
    def read(state: TrainState, images: Array) -> dict[str, Array]:
        made, truth = network.reconstruct(state, images), network.targets(images)
        error = augment.unit_range(made) - augment.unit_range(truth)
        squared = jnp.mean(jnp.square(error), axis=(1, 2, 3))
        found = {} if compared is None else {"features": compared(made)}
        return found | {
            "absolute_error": jnp.mean(jnp.abs(error), axis=(1, 2, 3)),
            "squared_error": squared,
            "reconstruction_psnr": metrics.decibels(squared),
        }

    return read


def _picture(run: Run, method: Method, state: TrainState, found: Extracted) -> report.Picture:
    """Shows the first images, each beside its reconstruction."""
    images = gallery.read(run, features.test_scan(run).source, found.places[:_SHOWN])
    shown = mesh.to_host(run.once(_shower, method)(state, images))
    return report.grid(shown.reshape(-1, *shown.shape[2:]), 2 * _PAIRS)


def _shower(run: Run, method: Method) -> Callable[[TrainState, Any], Array]:
    network = _reconstructor(method, run)

    def show(state: TrainState, images: Any) -> Array:
        made, truth = network.reconstruct(state, images), network.targets(images)
        return to_pixels(jnp.stack([truth, made], axis=1))

    return jax.jit(show, out_shardings=mesh.replicated(run.mesh))
