"""Opens the network whose features a generator is scored by."""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import paths
from ssljax.errors import UserError
from ssljax.evals import generative
from ssljax.evals.extract import pool
from ssljax.mesh import to_host
from ssljax.methods.contract import TrainState
from ssljax.run import pretrained
from ssljax.run import workdir as workdirs

KEY = "config.evals.generator.extractor"


def open_extractor(
    path: str, image_shape: tuple[int, int, int], mesh: Mesh
) -> generative.Extractor:
    """Opens an extractor.

    Args:
      path: A safetensors file of the Inception network, or the workdir of a finished run of this
        library, whose newest checkpoint is taken.
      image_shape: (height, width, channels) of the images that are compared.
      mesh: The devices.

    Returns:
      The extractor; a run's is named by its method, data set and step.

    Raises:
      UserError: If there is neither, or a run's encoder is for images of another shape.
    """
    place = paths.resolve(path)
    if place.is_file():
        return generative.inception_extractor(paths.local_copy(place), mesh)
    trained = workdirs.has_checkpoint(place)
    if not trained or not all((place / name).is_file() for name in ("config.json", "task.json")):
        raise UserError(
            f"{KEY}={path!r} is neither a safetensors file nor the --workdir of a run that was "
            "trained."
        )
    return _encoder(place, image_shape, mesh)


def _encoder(
    workdir: paths.Path, image_shape: tuple[int, int, int], mesh: Mesh
) -> generative.Extractor:
    """The network that a run trained, as an extractor of its "features"."""
    config = pretrained.resolve(ConfigDict({"init": {"workdir": str(workdir), "step": 0}}))
    run = config.init.run
    if tuple(config.init.task.image_shape) != image_shape:
        raise UserError(
            f"The encoder in {workdir} was trained on images of "
            f"{_shape(config.init.task.image_shape)} and cannot compare images of "
            f"{_shape(image_shape)}: name another one in {KEY}."
        )
    method = pretrained.build(config)
    assert method is not None

    @jax.jit
    def features(state: TrainState, images: Array) -> Array:
        return pool(method.features(state, images)["features"])

    try:
        images = jax.ShapeDtypeStruct((mesh.size, *image_shape), np.uint8)
        jax.eval_shape(features, pretrained.abstract_state(method), images)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"The method {run.method.name} of the run in {workdir} has no encoder whose features "
            f"could be compared: name another run in {KEY}."
        ) from error
    # What trains it further is of no use here.
    state = pretrained.restore(config, method, mesh).replace(opt_state={})
    weights = to_host((state.params, state.variables, state.memory))
    return generative.Extractor(
        name=f"{run.method.name}-{run.data.name}-step{config.init.step}",
        features=lambda images: features(state, images),
        resizer="none",
        digest=generative.digest_weights(weights),
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
