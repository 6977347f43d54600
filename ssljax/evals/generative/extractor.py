"""Networks that turn images into the features that a generator is scored by."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, UInt8

from ssljax.models.encoders.inception import InceptionV3, preprocess
from ssljax.models.encoders.inception_weights import load_inception

PyTree = Any
Features = Callable[[UInt8[Array, "batch height width channels"]], Float[Array, "batch dim"]]
Logits = Callable[[Float[Array, "batch dim"]], Float[Array, "batch classes"]]


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A network whose features are compared, and what identifies it.

    Attributes:
      name: Names the network and its training, such as `"inception-2015-12-05"` or
        `"simclr-fashion_mnist-step1400"`. It is part of every score's name: figures by different
        extractors cannot be compared.
      features: Gives the float32 features of a batch; jitted by the caller.
      resizer: How images are brought to the network's size; `"none"` if they enter as they are.
      digest: Identifies the weights, as `digest_weights` does.
      logits: Gives the logits of a classifier on those features, for the Inception score; without
        one there is none.
    """

    name: str
    features: Features
    resizer: str
    digest: str
    logits: Logits | None = None

    def __post_init__(self) -> None:
        for field in ("name", "resizer", "digest"):
            if not getattr(self, field):
                raise ValueError(f"An extractor needs a {field}: scores are kept under it.")


def inception_extractor(path: str | Path, mesh: Mesh) -> Extractor:
    """The network of 2015 by which the literature computes FID, IS and KID.

    Args:
      path: Its weights as safetensors; `python -m ssljax.tools.convert_inception` makes the file.
      mesh: The devices; each gets a copy of the weights.

    Returns:
      The extractor of the 2,048 "pool3" features and the 1,008 logits without bias. Images of any
      size are enlarged to 299x299 by `ssljax.models.encoders.inception.resize`; grey ones are
      repeated over three channels.

    Raises:
      UserError: If the file cannot be read or is of another network.
    """
    variables = load_inception(path)
    everywhere = NamedSharding(mesh, PartitionSpec())
    placed = jax.device_put(variables, everywhere)
    network = InceptionV3()

    @jax.jit
    def features(variables: PyTree, images: Array) -> Array:
        outputs: Any = network.apply(variables, preprocess(images))
        return outputs["features"]

    @jax.jit
    def logits(kernel: Array, features: Array) -> Array:
        return jnp.matmul(features, kernel, precision=jax.lax.Precision.HIGHEST)

    return Extractor(
        name="inception-2015-12-05",
        features=lambda images: features(placed, images),
        resizer="tf1-bilinear299",
        digest=digest_weights(variables),
        logits=lambda rows: logits(placed["params"]["fc"]["kernel"], rows),
    )


def digest_weights(variables: PyTree) -> str:
    """SHA-256 of the names, shapes, types and values of all arrays of a tree, in hexadecimal.

    Args:
      variables: Any pytree of arrays that this process holds whole.
    """
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
