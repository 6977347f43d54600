"""`ssljax.load`: the network of a run, or of a file of published weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import augment, mesh, models, paths
from ssljax.augment import presets
from ssljax.errors import UserError, first_line
from ssljax.methods import passes
from ssljax.methods.contract import Method, TrainState
from ssljax.model import Model
from ssljax.models import weights
from ssljax.run import pretrained
from ssljax.run import workdir as workdirs

_log = logging.getLogger(__name__)
_SIDE = 224
_COLORS = 3


def load(
    place: str | os.PathLike[str],
    *,
    step: int | None = None,
    model: str = "",
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    **options: Any,
) -> Model:
    """Loads a trained network.

    Args:
      place: The workdir of a run, or a file of published weights (safetensors, or PyTorch's where
        that is installed), on a disk or in a bucket (gs://, s3://). Neither the data that a run was
        trained on nor the run that it started from need be there any more.
      step: Of a run, the finished train steps of the checkpoint; None for the newest.
      model: Of a file, the encoder that it holds, such as "resnet50" or "vit_base": a ResNet, a
        VGG or a vision transformer, under the names of torchvision, timm or its authors.
      image_size: Of a file, the side in pixels of what the encoder sees, 224 by default. As is
        usual for ImageNet, the shorter side of an image is brought to 8/7 of it, and the
        centre cut out.
      mean: Of a file, the mean of each of the three colours by which images in [0, 1] are
        normalised; ImageNet's by default.
      std: Of a file, the deviation likewise.
      **options: Of a file, attributes of the encoder, such as `patch_size=8`.

    Returns:
      The network, on all devices.

    Raises:
      UserError: If there is no run or no file, or it has no such checkpoint, or is damaged, or is
        of another network; the message says what to do.

    Example:
      model = ssljax.load("runs/simclr")
      model = ssljax.load("gs://bucket/runs/simclr", step=10_000)
      model = ssljax.load("resnet50.safetensors", model="resnet50")
      model = ssljax.load("dino_vitb8.pth", model="vit_base", patch_size=8)
      model = ssljax.load("vit-s-300ep.pth.tar", model="vit_small", heads=12)  # MoCo v3's.
    """
    found = paths.resolve(place)
    if model:
        if step is not None:
            raise UserError("A file of weights has no steps: leave out `step`, or `model`.")
        side = _SIDE if image_size is None else image_size
        return _of_file(found, model, side, mean, std, options)
    of_files = dict(image_size=image_size, mean=mean, std=std) | options
    given = [name for name, value in of_files.items() if name in options or value is not None]
    if given:
        raise UserError(
            f"load has no argument {given[0]!r} for a run: leave it out, or name the "
            "encoder of a file in `model`."
        )
    if found.is_file():
        raise UserError(
            f"{found} is a file: say which encoder it holds, as in ssljax.load({str(place)!r}, "
            'model="resnet50"), or give the workdir of a run.'
        )
    return _of_run(found, step)


def _of_run(workdir: paths.Path, step: int | None) -> Model:
    if not workdirs.has_checkpoint(workdir):
        raise UserError(
            f"There is no checkpoint in {workdir}: give the workdir of a run that was trained."
        )
    if step is not None and step < 1:
        raise UserError(f"step={step} is impossible: it must be that of a checkpoint, or None.")
    known = ConfigDict({"init": {"workdir": str(workdir), "step": step or 0}})
    config = pretrained.resolve(known)
    method = pretrained.build(config)
    assert method is not None
    on = mesh.make_mesh()
    state = pretrained.restore(config, method, on)
    return Model(method, state, workdirs.complete(config.init.run), on)


def _of_file(
    file: paths.Path,
    model: str,
    image_size: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    options: Mapping[str, Any],
) -> Model:
    if not file.is_file():
        raise UserError(
            f"There is no file {file}: name one with weights, or leave out `model` to load the "
            "workdir of a run."
        )
    mean = _of_colors("mean", presets.IMAGENET_MEAN if mean is None else mean)
    std = _of_colors("std", presets.IMAGENET_STD if std is None else std)
    try:
        view = augment.ViewPolicy(image_size, mean=mean, std=std)
        network = models.build_encoder(model, **options)
        shape = (image_size, image_size, 3)
        read = weights.load_into(network, paths.local_copy(file), shape)
    except (TypeError, ValueError) as error:
        raise UserError(f"The network does not fit: {first_line(error).rstrip('.')}.") from error
    _log.info("%s: %s.", file, read.told)
    collections = {name: jax.tree.map(np.asarray, tree) for name, tree in read.variables.items()}
    params = {"online": collections.pop("params")}
    on = mesh.make_mesh()
    state = jax.device_put(
        TrainState(jnp.int32(0), params, {"online": collections}, {}, (), None), mesh.replicated(on)
    )
    known = dict(
        method=dict(name=model),
        data=dict(
            image_size=round(image_size * 8 / 7),
            channels=3,
            resize="short_side",
            range=(),
            threads=0,
            max_corrupt=0,
        ),
    )
    return Model(_OfFile(network, view), state, ConfigDict(known), on)


class _OfFile(Method):
    """An encoder of published weights: one player, "online", that learns nothing."""

    evaluated = "published encoder"

    def __init__(self, network: nn.Module, view: augment.ViewPolicy) -> None:
        self._network, self._view = network, view

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """All outputs of the encoder."""
        params, variables = state.params["online"], state.variables["online"]
        found: dict[str, Array] = passes.features(
            self._network, params, variables, self._view, images
        )
        return found


def _of_colors(name: str, values: Sequence[float]) -> tuple[float, ...]:
    try:
        found = tuple(float(x) for x in values)
    except (TypeError, ValueError):
        found = ()
    if len(found) != _COLORS:
        raise UserError(f"{name}={values!r} is impossible: give a number for each of 3 colours.")
    return found
