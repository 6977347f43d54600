"""Segmentation: the classes of all pixels of the test images, at the size of their masks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import augment, metrics
from ssljax.errors import UserError
from ssljax.evals import masks
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.protocols import Segmenter
from ssljax.ops.crf import DEEPLAB, Kernel, dense_crf, unary_from_probabilities


def crf_kernels(keys: ConfigDict) -> tuple[Kernel, ...]:
    """The kernels of the dense CRF that `config.evals.segmentation.crf` names."""
    smoothness, _ = DEEPLAB
    return smoothness, Kernel(keys.position, keys.color, keys.weight)


def refine_by_crf(
    image: masks.Pixels, probabilities: masks.Probabilities, keys: ConfigDict
) -> masks.Probabilities:
    """Brings probabilities in line with an image's edges, as DeepLab v2 does after its network."""
    unary = unary_from_probabilities(jnp.asarray(probabilities, jnp.float32))
    return np.asarray(dense_crf(unary, image, crf_kernels(keys.crf), keys.crf.iterations))


REFINEMENTS: dict[
    str, Callable[[masks.Pixels, masks.Probabilities, ConfigDict], masks.Probabilities]
] = {"crf": refine_by_crf}
"""What may follow the network, by name: better probabilities of an image's pixels, at its size."""


class Segmentation(Evaluation):
    """Mean IoU "miou", and pixel and class accuracy, of the test images' masks.

    What is predicted is brought to each mask's own size, whatever that of the network's images, and
    counted there; pixels of the void are not. With several `scales`, or `flip`, the probabilities
    of all sizes and of mirrored images are averaged. With a refinement its scores stand beside the
    others, as "crf/miou" and so on.

    The picture has images at the size of the network's, each with its mask and its prediction, over
    which the mask's void is left free.
    """

    name = "segmentation"

    @staticmethod
    def default_config() -> ConfigDict:
        """One pass at the images' size; the CRF is DeepLab v2's on Pascal VOC."""
        return ConfigDict(
            dict(
                scales=(1.0,),  # Sizes at which test images are seen, as factors of their sides.
                flip=False,  # Whether they are seen mirrored as well.
                refine="",  # What follows the network: "crf"; empty: nothing.
                batch_size=8,  # Images at once; each takes its pixels times the classes.
                crf=dict(
                    # Of the kernel of places and colours, w1 of the paper; the one of places alone
                    # keeps its weight of 3 and deviation of 1.
                    weight=4.0,
                    position=67.0,  # Deviation in pixels.
                    color=3.0,  # Deviation in levels of 0 to 255.
                    iterations=10,
                ),
            )
        )

    def stages(self, run: Run) -> tuple[str, ...]:
        """None: the whole network segments."""
        return ()

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if nothing is segmented, or there are no masks to compare with."""
        keys = run.config.segmentation
        method = _segmenter(run.experiment.method, run)
        masks.check(run, run.config.test_split, self.name)
        if keys.refine and keys.refine not in REFINEMENTS:
            raise UserError(
                f"config.evals.segmentation.refine={keys.refine!r} is not known; there are: "
                f"{', '.join(REFINEMENTS) or 'none'}."
            )
        images = jax.ShapeDtypeStruct((run.mesh.size, *run.experiment.task.image_shape), np.uint8)
        try:
            jax.eval_shape(_reader(run, method), run.experiment.abstract_state, images)
        except ValueError as error:
            raise UserError(
                f"config.evals.segmentation.scales={keys.scales!r} do not suit the network: {error}"
            ) from error
        return tuple(f"{prefix}{name}" for prefix in _prefixes(run) for name in masks.SCORES)

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Counts the pixels of all test images as these pass; raw pixels have no classes."""
        if state is None:
            return Scores()
        classes, keys = run.experiment.config.data.mask_classes, run.config.segmentation
        counts = {prefix: np.zeros((classes, classes), np.int64) for prefix in _prefixes(run)}
        shown: list[masks.Shown] = []
        for found in segmented(run, state):
            if len(shown) < masks.SHOWN:
                shown.append(masks.likeliest(found))
            for prefix, matrix in counts.items():
                (said,) = found.probabilities.values()
                if prefix:
                    said = REFINEMENTS[keys.refine](masks.image_of(run, found), said, keys)
                predicted = np.argmax(said, axis=2)
                matrix += metrics.confusion_matrix(found.mask, predicted, classes)
        values = {
            f"{prefix}{name}": value
            for prefix, scores in masks.scores_of(counts).items()
            for name, value in scores.items()
        }
        return Scores(values, masks.picture(run, shown, classes))


def segmented(run: Run, state: TrainState) -> Iterator[masks.Found]:
    """What a method that segments predicts of each test image: see `masks.segmented`."""
    read = functools.partial(run.once(_jitted_reader, run.method(state)), state)
    return masks.segmented(run, read, run.config.segmentation.batch_size)


def _prefixes(run: Run) -> tuple[str, ...]:
    """Of what is scored: the network's predictions, and refined ones."""
    refine = run.config.segmentation.refine
    return ("", f"{refine}/") if refine else ("",)


def _segmenter(method: Method, run: Run) -> Segmenter:
    if not isinstance(method, Segmenter):
        raise UserError(
            f"method.name={run.experiment.config.method.name!r} does not classify pixels: "
            f"{leave_out(Segmentation.name)}."
        )
    return method


def _jitted_reader(run: Run, method: Method) -> Callable[[TrainState, Array], dict[str, Array]]:
    return jax.jit(_reader(run, _segmenter(method, run)))


def _reader(run: Run, method: Segmenter) -> Callable[[TrainState, Array], dict[str, Array]]:
    """Makes the function that gives each pixel's probabilities, a mean over sizes and mirrors."""
    keys = run.config.segmentation
    scales, flips = tuple(keys.scales), (False, True) if keys.flip else (False,)

    def read(state: TrainState, images: Array) -> dict[str, Array]:
        height, width = images.shape[1:3]
        found = []
        for scale in scales:
            sides = max(1, round(height * scale)), max(1, round(width * scale))
            seen = images
            if sides != (height, width):
                seen = augment.to_bytes(augment.resize(augment.to_float(images), sides))
            for flip in flips:
                scores = method.segment(state, seen[:, :, ::-1] if flip else seen)
                scores = scores[:, :, ::-1] if flip else scores
                shape = (*images.shape[:3], scores.shape[3])
                scores = jax.image.resize(scores, shape, "linear", antialias=False)
                found.append(jax.nn.softmax(scores.astype(jnp.float32), axis=3))
        return {"probabilities": sum(found[1:], start=found[0]) / len(found)}

    return read
