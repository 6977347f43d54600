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
from ssljax.evals.extract import Extracted, raw_pixels
from ssljax.evals.generative import to_pixels
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.protocols import Reconstructor

AGREEMENT = "class_agreement"
_SHOWN, _PAIRS = 32, 4
"""Images in a picture, and how many of them, each beside its reconstruction, are in a row."""


class Reconstruction(Evaluation):
    """Errors of reconstructions of the labelled test images, and the classes that they show.

    "class_agreement" is the share of images whose reconstruction is classified as what the image
    is, by a weighted vote of its nearest training images; these are seen as the reconstructions
    are, cut and at their size. They are compared in pixels or, where
    `config.evals.generator.extractor` names one, in its features. Where the images themselves
    are taken for their reconstructions it is the accuracy of that vote, the score "knn<k>" of the
    row "raw pixels"; in the row "chance" stands the share of the commonest class.

    "absolute_error" and "squared_error" are means over pixels in [0, 1], and "reconstruction_psnr"
    is the mean over images of the signal-to-noise ratio in decibels. The picture has each image
    beside its reconstruction.
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
        """Raises a `UserError` if nothing is reconstructed, or too few images have labels."""
        _reconstructor(run.experiment.method, run)
        wanted, train = run.config.reconstruction.neighbors, features.train_scan(run)
        enough = max(1, wanted)
        known = int(labels.count(run, train, self.name, lambda n: n.sum() >= enough).sum())
        if not 0 < wanted <= known:
            raise UserError(
                f"config.evals.reconstruction.neighbors is {wanted!r}, and "
                f"{run.name_of(train.source.split)} has {known} labelled images: ask for a number "
                "from 1 to that."
            )
        labels.count(run, features.test_scan(run), self.name)
        if run.config.generator.extractor:
            run.once(generation.open_extractor)
        return (AGREEMENT, "absolute_error", "squared_error", "reconstruction_psnr")

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores the reconstructions of a state."""
        if state is None:
            counts = labels.count(run, features.test_scan(run), self.name, lambda n: False)
            return Scores({AGREEMENT: float(counts.max() / counts.sum())})
        method = run.method(state)
        bank = run.once(_bank, method)
        read = functools.partial(run.once(_reader, method), state)
        found = features.labelled(run, read, features.test_scan(run))
        num_classes = features.train_scan(run).source.num_classes
        assert num_classes is not None
        if not np.isfinite(found.outputs["squared_error"]).all():
            raise ValueError("Reconstructions are not finite: a score of them would mean nothing.")
        keys = run.config.reconstruction
        votes = metrics.knn_accuracies(
            bank.outputs["features"],
            bank.labels,
            found.outputs["features"],
            found.labels,
            num_classes,
            settings=((keys.neighbors, keys.temperature),),
            mesh=run.mesh,
        )
        means = {
            name: float(np.mean(values, dtype=np.float64))
            for name, values in found.outputs.items()
            if name != "features"
        }
        is_shown = run.experiment.task.image_shape[2] in (1, 3)
        pictures = {self.name: _picture(run, method, state, found)} if is_shown else {}
        return Scores({AGREEMENT: next(iter(votes.values()))} | means, pictures)


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
    extractor, shape = run.once(generation.open_extractor), run.experiment.task.image_shape

    def compared(images: Array) -> Array:
        whole = augment.resize(augment.unit_range(images), shape[:2])
        return extractor.features(to_pixels(augment.tanh_range(whole)))

    return compared


def _bank(run: Run, method: Method) -> Extracted:
    """The training images, cut and reduced as reconstructions are."""
    targets, compared = _reconstructor(method, run).targets, _compared(run)

    @jax.jit
    def read(images: Array) -> dict[str, Array]:
        return {"features": compared(targets(images))}

    return features.labelled(run, read, features.train_scan(run))


def _reader(run: Run, method: Method) -> Callable[[TrainState, Array], dict[str, Array]]:
    """Makes the jitted function that reconstructs a batch and marks it."""
    network, compared = _reconstructor(method, run), _compared(run)

    @jax.jit
    def read(state: TrainState, images: Array) -> dict[str, Array]:
        made, truth = network.reconstruct(state, images), network.targets(images)
        error = augment.unit_range(made) - augment.unit_range(truth)
        squared = jnp.mean(jnp.square(error), axis=(1, 2, 3))
        return {
            "features": compared(made),
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
