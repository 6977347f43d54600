"""The networks by which styles are told: VGG-19 with published weights, or a run's encoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from ssljax import mesh, models, paths
from ssljax.augment import normalize, presets
from ssljax.errors import UserError
from ssljax.methods.frozen_encoder import encoder_of
from ssljax.methods.pretext_method import encoder_weights
from ssljax.models import weights
from ssljax.models.encoders.vgg import CONVOLUTIONS
from ssljax.run import pretrained
from ssljax.run import workdir as workdirs

PyTree = Any
Image = Float[Array, "_ _ 3"]
"""(height, width, 3)."""
Maps = dict[str, Float[Array, "_ _ _"]]
"""(rows, columns, channels) by layer."""

INPUTS = ("torchvision", "caffe")
RANDOM = "random"
_CONTENT = ("relu4_2",)
_STYLE = tuple(f"relu{stage}_1" for stage in range(1, 6))
_CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Of blue, green and red, in levels."""
_LEVELS = 255.0


@dataclasses.dataclass(frozen=True)
class StyleNetwork:
    """A network with the layers that losses read.

    Attributes:
      name: For messages.
      maps: Gives the maps of an image, by layer, from the weights and levels from 0 to 255.
      weights: What `maps` takes first.
      content: The layers that content is told by, unless others are asked for.
      style: Likewise for style.
      published: Whether it is the network for which the published weights of the losses were
        chosen. The losses of other networks are scaled.
      convolutions: Of the stages of a VGG, whose layers are relu1_1 and so on; empty for another.
    """

    name: str
    maps: Callable[[PyTree, Image], Maps]
    weights: PyTree
    content: tuple[str, ...]
    style: tuple[str, ...]
    published: bool = False
    convolutions: tuple[int, ...] = ()

    def sizes(self, image: Image) -> Mapping[str, tuple[int, int]]:
        """Rows and columns of the maps of an image.

        Raises:
          UserError: If the image is too small for the network.
        """
        try:
            found = jax.eval_shape(self.maps, self.weights, image)
        except ValueError as error:
            raise UserError(f"{self.name} cannot see the image: {error}") from error
        return {name: x.shape[:2] for name, x in found.items()}

    def with_layers(
        self, content: Sequence[str], style: Sequence[str], image: Image
    ) -> StyleNetwork:
        """The network with other layers, where any are named.

        Args:
          content: Layers, or none for the network's own.
          style: Likewise.
          image: Any image that it is to see.

        Raises:
          UserError: If there is no such layer.
        """
        chosen = tuple(content) or self.content, tuple(style) or self.style
        known = self.sizes(image)
        for layer in (*chosen[0], *chosen[1]):
            if layer not in known:
                raise UserError(
                    f"{self.name} has no layer {layer!r}; it has {', '.join(sorted(known))}."
                )
        return dataclasses.replace(self, content=chosen[0], style=chosen[1])


def open_vgg(path: str, inputs: str = INPUTS[0], seed: int = 0) -> StyleNetwork:
    """VGG-19 with the weights of a file.

    Args:
      path: A safetensors or PyTorch file, on a disk or in a bucket, or "random": then the kernels
        are He et al.'s normal ones, for comparison.
      inputs: What the weights were trained on: "torchvision", colours in [0, 1] less their mean
        over ImageNet, by their deviation; or "caffe", levels in the order blue, green, red, less
        their mean, as the authors' network.
      seed: Of random weights.

    Raises:
      UserError: If the file cannot be read or is of another network.
    """
    network = models.build_encoder("vgg19")
    if path == RANDOM:
        image = jnp.zeros((1, 32, 32, 3))
        loaded = jax.jit(network.init, static_argnums=2)(jax.random.key(seed), image, False)
    else:
        loaded = weights.load_vgg19(paths.local_copy(paths.resolve(path)))
        loaded = jax.tree.map(jnp.asarray, loaded)

    def maps(variables: PyTree, image: Image) -> Maps:
        _, found = network.apply(
            variables, _normalized(image, inputs)[None], False, mutable=["intermediates"]
        )
        return {name: x[0] for name, (x,) in found["intermediates"].items()}

    return StyleNetwork(
        name=f"VGG-19 of {path}" if path != RANDOM else "VGG-19 with random weights",
        maps=maps,
        weights=loaded,
        content=_CONTENT,
        style=_STYLE,
        published=inputs == "caffe" and path != RANDOM,
        convolutions=CONVOLUTIONS,
    )


def _normalized(image: Image, inputs: str) -> Image:
    if inputs == "caffe":
        return image[..., ::-1] - jnp.asarray(_CAFFE_MEAN).reshape(1, 1, -1)
    return normalize(image / _LEVELS, presets.IMAGENET_MEAN, presets.IMAGENET_STD)


def open_run(workdir: str) -> StyleNetwork:
    """The encoder that a run has trained, at its newest checkpoint.

    Content is told by the last map but one, style by all of them and the stem.

    Args:
      workdir: The --workdir of a run of a method with an encoder of whole images.

    Raises:
      UserError: If there is no such run, or its encoder has no maps of images in colour.
    """
    place = paths.resolve(workdir)
    if not workdirs.has_checkpoint(place):
        raise UserError(f"{workdir} is not the --workdir of a run that was trained.")
    config = pretrained.resolve(ConfigDict({"init": {"workdir": str(place), "step": 0}}))
    method = pretrained.build(config)
    try:
        encoder = encoder_of(method)
    except ValueError as error:
        raise UserError(f"{workdir}: {error}") from error
    name = f"The run of {config.init.run.method.name} in {workdir}"
    channels = config.init.task.image_shape[2]
    if encoder is None or method is None:
        raise UserError(f"{name} has no encoder whose maps could be compared.")
    if channels != 3:
        raise UserError(
            f"{name} has learnt from images of {channels} channel(s), and styles have colours: "
            "name a run on images of 3."
        )
    state = pretrained.restore(config, method, mesh.make_mesh())
    on_host = mesh.to_host(encoder_weights(*method.trained_weights(state)))
    loaded = jax.tree.map(jnp.asarray, on_host)

    def maps(variables: PyTree, image: Image) -> Maps:
        outputs: Any = encoder.network.apply(
            variables, encoder.normalize(image[None] / _LEVELS), False
        )
        return {layer: x[0] for layer, x in outputs.items() if x.ndim == 4}

    image = jax.ShapeDtypeStruct(config.init.task.image_shape, jnp.float32)
    shapes = jax.eval_shape(maps, loaded, image)
    found = models.map_names({key: jnp.zeros((1, *x.shape)) for key, x in shapes.items()})
    if not found:
        raise UserError(f"{name} has an encoder without maps of stages, blocks or convolutions.")
    return StyleNetwork(
        name=name,
        maps=maps,
        weights=loaded,
        content=(found[max(0, len(found) - 2)],),
        style=("stem", *found) if "stem" in shapes else tuple(found),
    )
