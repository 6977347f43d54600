"""What a method translates, and what it makes of that on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from ssljax import augment, report
from ssljax.errors import UserError
from ssljax.evals.generative import to_pixels
from ssljax.methods.contract import TrainState
from ssljax.methods.protocols import Translator

SHOWN = 8
"""Images in a picture, a row each."""


class Made(NamedTuple):
    """Translations of some images.

    Attributes:
      there: In the other domain, in [-1, 1].
      back: The translations of these, as bytes, by the way back; None where there is none.
    """

    there: Float[Array, "batch height width channels"]
    back: Float[Array, "batch height width channels"] | None


def check_translates(method: object, name: str, instead: str) -> Translator:
    """Gives a method that translates images.

    Args:
      method: Any method.
      name: Its name.
      instead: What to do without translations.

    Raises:
      UserError: If it is none.
    """
    if not isinstance(method, Translator):
        raise UserError(f"The method {name} translates no images: {instead}.")
    return method


def choose_way(method: Translator, asked: str, named: str) -> str:
    """The translation that is asked for, or a method's first where none is.

    Args:
      method: Any that translates.
      asked: One of its translations, or "".
      named: Where that is asked, for the message.

    Raises:
      UserError: If there is none of that name.
    """
    known = method.translations()
    if asked and asked not in known:
        raise UserError(
            f"{named}={asked!r} is none of the method's translations: there are "
            f"{', '.join(map(repr, known))}."
        )
    return asked or known[0]


def ends(way: str) -> tuple[str, str]:
    """The two domains of a translation, such as "A" and "B" of "A to B"."""
    source, _, target = way.partition(" to ")
    return source, target


def way_back(method: Translator, way: str) -> str | None:
    """The translation that leads back to where another one begins; None if there is none."""
    source, target = ends(way)
    back = f"{target} to {source}"
    return back if back in method.translations() else None


def plain(way: str) -> str:
    """The name of a translation as part of a path or of a score's name, such as "A_to_B"."""
    return way.replace(" ", "_").replace("/", "-")


def there_and_back(
    method: Translator,
    state: TrainState | None,
    images: UInt8[Array, "batch height width channels"],
    way: str,
) -> Made:
    """Translates images, and their translations back; runs under jit.

    Args:
      method: The method at the state's step.
      state: Training state; None leaves the images as they are.
      images: Of the domain where the way begins.
      way: One of the method's translations.
    """
    back = way_back(method, way)
    if state is None:
        same = augment.to_tanh_range(images)
        return Made(same, None if back is None else same)
    there = method.translate(state, images, way).astype(jnp.float32)
    if back is None:
        return Made(there, None)
    return Made(there, method.translate(state, to_pixels(there), back).astype(jnp.float32))


def picture(columns: Sequence[UInt8[np.ndarray, "count height width channels"]]) -> report.Picture:
    """A row for each image: the original, its translation and, if there is one, the cycle."""
    rows = np.stack(columns, axis=1)
    return report.grid(rows.reshape(-1, *rows.shape[2:]), len(columns))
