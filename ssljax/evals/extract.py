"""From a network and a stream of images to features of a whole set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Num, UInt8

from ssljax.augment import check_bytes
from ssljax.mesh import batch_sharding, to_host
from ssljax.ops.pooling import Pooling, adaptive_pool, grid_of

_LARGEST = 32
"""Pixels a side of the images that stand as raw pixels."""

Outputs = Callable[[Array], dict[str, Array]]


class Extracted(NamedTuple):
    """What a network gives for the images of a set, in their order; the same in every process.

    Attributes:
      outputs: By name, one row an image.
      labels: The classes; -1 where there is none.
      places: Where in the source each image is.
      left_out: How many images were left out because they have no label.
    """

    outputs: dict[str, np.ndarray]
    labels: Int[np.ndarray, "rows"]
    places: Int[np.ndarray, "rows"]
    left_out: int = 0


def stream(
    outputs: Callable[..., dict[str, Array]],
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    mesh: Mesh,
    fields: tuple[str, ...] = ("image",),
) -> Iterator[Extracted]:
    """Passes images through a network on all devices, batch by batch.

    The next batch is transferred while the devices process one.

    Args:
      outputs: Gives arrays with one row an image, by name; jitted by the caller.
      batches: This process's rows of batches of one size, with "image", "label" and "index"; a row
        of index -1 is padding.
      mesh: The devices; a batch is split over all axes.
      fields: What of a batch `outputs` is called with.

    Yields:
      Of each batch the rows that are not padding.
    """
    sharding = batch_sharding(mesh)
    late = None
    for batch in batches:
        placed = {
            name: jax.make_array_from_process_local_data(sharding, rows)
            for name, rows in batch.items()
        }
        given = [placed[field] for field in fields]
        now = outputs(*given), placed["label"], placed["index"]
        if late is not None:
            yield _to_host(late)
        late = now
    if late is not None:
        yield _to_host(late)


def extract(
    outputs: Callable[..., dict[str, Array]],
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    mesh: Mesh,
    count: int,
    labelled: bool = False,
    fields: tuple[str, ...] = ("image",),
) -> Extracted:
    """Computes the features of a whole set, with no more than a few batches of images in memory.

    Args:
      outputs: As in `stream`.
      batches: As in `stream`.
      mesh: The devices.
      count: How many images there are at most.
      labelled: Whether images without a label are left out.
      fields: As in `stream`.

    Returns:
      The outputs of all images.

    Raises:
      ValueError: If there is no image.
    """
    room: list[np.ndarray] | None = None
    filled = left_out = 0
    for part in stream(outputs, batches, mesh=mesh, fields=fields):
        known = part.labels >= 0 if labelled else np.ones(len(part.labels), bool)
        arrays, tree = jax.tree.flatten(part[:3])
        if room is None:
            room = [np.empty((count, *rows.shape[1:]), rows.dtype) for rows in arrays]
        stop = filled + int(known.sum())
        for whole, rows in zip(room, arrays, strict=True):
            whole[filled:stop] = rows[known]
        filled, left_out = stop, left_out + int((~known).sum())
    if room is None or filled == 0:
        raise ValueError(f"There are no images to take features of; {left_out} have no label.")
    outputs_of_all, labels, places = jax.tree.unflatten(tree, [rows[:filled] for rows in room])
    return Extracted(outputs_of_all, labels, places, left_out)


def _to_host(late: tuple[dict[str, Array], Array, Array]) -> Extracted:
    """Whole arrays, in every process, without the padding."""
    whole = to_host(late)
    real = whole[2] >= 0
    return Extracted(*jax.tree.map(lambda rows: rows[real], whole))


def pool(
    features: Float[Array, "batch ..."], values: int = 0, how: Pooling = "average"
) -> Float[Array, "batch dim"]:
    """Pools maps (batch, height, width, channels) over places, in float32; leaves the rest.

    Args:
      features: Of one layer.
      values: How many are kept of an image at most, on the largest square grid; 0: one place.
      how: Whether a place of the grid keeps the "average" or the "max".

    Returns:
      The cells of the grid, row by row, as one vector an image.
    """
    features = features.astype(jnp.float32)
    if features.ndim != 4:
        return jnp.mean(features, axis=tuple(range(1, features.ndim - 1)))
    height, width, channels = features.shape[1:]
    grid = grid_of(height, width, channels, values)
    return adaptive_pool(features, grid, how).reshape(features.shape[0], -1)


@jax.jit
def raw_pixels(
    images: Num[Array, "batch height width channels"],
) -> dict[str, UInt8[Array, "batch dim"]]:
    """The pixels themselves, which must be bytes, as "features": the baseline without a network.

    They stay bytes; no probe minds the scale of its features. Images of more than 32 pixels a side
    are made smaller to 32, so that the baseline of large photographs takes no more room than
    features do.
    """
    check_bytes(images)
    rows, height, width, channels = images.shape
    shape = (rows, min(height, _LARGEST), min(width, _LARGEST), channels)
    if shape != images.shape:
        smaller = jax.image.resize(images.astype(jnp.float32), shape, "linear")
        images = jnp.clip(jnp.round(smaller), 0, 255).astype(jnp.uint8)
    return {"features": images.reshape(rows, -1)}
