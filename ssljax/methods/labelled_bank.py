"""The labelled images that a run has met, so that a batch of them can be drawn in every step.

Where a hundred of 60,000 images are labelled, a batch of all images holds one in ten steps.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

Bank = dict[str, Any]


def empty(size: int, image_shape: tuple[int, ...]) -> Bank:
    """Makes a bank as it starts.

    Args:
      size: Images that it can hold.
      image_shape: (height, width, channels).

    Returns:
      "image" (size, height, width, channels); "label" (size,), -1 where there is no image yet;
      "count", the number of images that were put in.
    """
    return {
        "image": jnp.zeros((size, *image_shape)),
        "label": jnp.full((size,), -1, jnp.int32),
        "count": jnp.zeros((), jnp.int32),
    }


def newcomer(
    images: Float[Array, "batch height width channels"], labels: Int[Array, "batch"]
) -> dict[str, Array]:
    """The first labelled image of a batch: one alone, so that little travels between devices.

    Args:
      images: Images.
      labels: Their classes; -1 where the class is not known.

    Returns:
      "image" (height, width, channels) and "label" (), which is -1 if none is labelled.
    """
    labels = labels.astype(jnp.int32)
    chosen = jnp.arange(labels.shape[0]) == jnp.argmax(labels >= 0)
    # A sum of which one term is not 0: indexing would bring all images to every device.
    return {
        "image": jnp.sum(jnp.where(chosen[:, None, None, None], images, 0.0), axis=0),
        "label": jnp.sum(jnp.where(chosen, labels, 0)),
    }


def remember(bank: Bank, new: dict[str, Array]) -> Bank:
    """Puts an image in, over the oldest one if the bank is full.

    Args:
      bank: The bank.
      new: What `newcomer` returns; an image that is there already, or unlabelled, changes nothing.

    Returns:
      The bank after it.
    """
    size = bank["label"].shape[0]
    same = jnp.all(bank["image"] == new["image"][None], axis=(1, 2, 3))
    known = jnp.any(same & (bank["label"] == new["label"]))
    place = jnp.where((new["label"] >= 0) & ~known, bank["count"] % size, size)
    return {
        "image": bank["image"].at[place].set(new["image"], mode="drop"),
        "label": bank["label"].at[place].set(new["label"], mode="drop"),
        "count": bank["count"] + (place < size).astype(jnp.int32),
    }


def draw(bank: Bank, keys: Key[Array, " batch"]) -> tuple[Array, Array]:
    """Draws a batch, each image alike and independently.

    Args:
      bank: The bank.
      keys: One for each image of the batch.

    Returns:
      Images and labels; while the bank is empty, black ones and -1.
    """
    held = jnp.clip(bank["count"], 1, bank["label"].shape[0])
    rows = jax.vmap(lambda key: jax.random.randint(key, (), 0, held))(keys)
    return bank["image"][rows], bank["label"][rows]
