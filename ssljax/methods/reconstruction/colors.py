"""What colorization and its relatives share: images in Lab, colours as classes, and their marks."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Num

from ssljax import augment
from ssljax.augment.resample import apply_separable
from ssljax.methods.contract import Task
from ssljax.ops import color, color_bins

LIGHTNESS_CENTER, LIGHTNESS_SCALE, AB_SCALE = 50.0, 100.0, 110.0
"""An encoder is given L less its centre, and ab, each divided by its scale."""

COLORED = 5.0
"""An image counts as grey where no pixel has an a or b of a larger absolute value."""


@dataclasses.dataclass(frozen=True)
class Coding:
    """Some coordinates of colour, as classes.

    Attributes:
      bins: Coordinates of the classes.
      neighbors: How many classes share a colour.
      sigma: Width of the Gaussian by which they share it.
      temperature: Of the annealed mean that decodes.
      reach: Distance of colours from which on an answer is worth nothing.
      guess: The coordinates that are guessed without looking, in the middle.
      scale: By which coordinates, less the guess, are divided for networks.
    """

    bins: np.ndarray
    neighbors: int
    sigma: float
    temperature: float
    reach: float
    guess: tuple[float, ...]
    scale: float

    def encode(self, values: Float[Array, "*places dim"]) -> Float32[Array, "*places bins"]:
        """The classes' shares of each colour."""
        return color_bins.soft_encode(values, self.bins, self.neighbors, self.sigma)

    def decode(self, logits: Float[Array, "*places bins"]) -> Float32[Array, "*places dim"]:
        """The annealed mean of each distribution."""
        return color_bins.annealed_mean(logits, self.bins, self.temperature)

    def nearest(self, values: Float[Array, "*places dim"]) -> Num[Array, "*places"]:
        """The class of each colour."""
        return jnp.argmax(color_bins.soft_encode(values, self.bins, 1), axis=-1)

    def guesses(self, truth: Float[Array, "*places dim"]) -> Float[Array, "*places dim"]:
        """The guess, at every place."""
        return jnp.broadcast_to(
            jnp.asarray(self.guess).reshape((1,) * (truth.ndim - 1) + (-1,)), truth.shape
        )

    def center(self, values: Float[Array, "*places dim"]) -> Float[Array, "*places dim"]:
        """Coordinates as encoders are given them: see `centered`."""
        return (values - self.guesses(values)) / self.scale

    def uncenter(self, values: Float[Array, "*places dim"]) -> Float[Array, "*places dim"]:
        """Undoes `center`."""
        return values * self.scale + self.guesses(values)

    def marks(
        self,
        name: str,
        classes: Num[Array, "batch height width"],
        values: Float[Array, "batch height width dim"],
        truth: Float[Array, "batch height width dim"],
        where: Bool[Array, "batch height width"] | None = None,
    ) -> dict[str, Float[Array, " batch"]]:
        """Marks what is said of each image.

        Args:
          name: What the scores are called by.
          classes: The likeliest class at each place.
          values: The colour that is said.
          truth: The true one.
          where: The places that count; all by default.

        Returns:
          "<name>_accuracy", the share of the places whose class is right, and "<name>_closeness",
          the mean of 1 - distance / reach, at least 0 at each place: the area under the curve of
          the places that are right to within a distance. Both are NaN where no place counts.
        """
        right = classes == self.nearest(truth)
        distances = jnp.sqrt(jnp.sum(jnp.square(values - truth), axis=-1))
        close = jnp.clip(1.0 - distances / self.reach, 0.0, 1.0)
        return {
            f"{name}_accuracy": jnp.mean(right.astype(jnp.float32), axis=(1, 2), where=where),
            f"{name}_closeness": jnp.mean(close, axis=(1, 2), where=where),
        }


def ab_coding(method: Any) -> Coding:
    """The bins of ab, by the keys grid, neighbors, sigma and temperature of a method."""
    return Coding(
        bins=color_bins.gamut_bins(method.grid),
        neighbors=method.neighbors,
        sigma=method.sigma,
        temperature=method.temperature,
        reach=150.0,  # As the paper has it.
        guess=(0.0, 0.0),
        scale=AB_SCALE,
    )


def lightness_coding(method: Any) -> Coding:
    """The bins of L, each colour in its nearest, by the keys lightness_bins and temperature."""
    return Coding(
        bins=color_bins.lightness_bins(method.lightness_bins),
        neighbors=1,
        sigma=1.0,
        temperature=method.temperature,
        reach=100.0,
        guess=(LIGHTNESS_CENTER,),
        scale=LIGHTNESS_SCALE,
    )


def check_colors(name: str, view: augment.ViewPolicy, places: int, task: Task) -> None:
    """Raises ValueError unless the images have colours and the view leaves them alone."""
    channels = task.image_shape[2]
    if channels != 3:
        raise ValueError(
            f"method.name={name!r} needs colour images, and data.name has images of {channels} "
            "channel(s): choose another data set."
        )
    if view.mean is not None:
        raise ValueError(
            f"method.name={name!r} makes Lab of the views' colours: set method.view.mean and "
            "method.view.std to None."
        )
    if not 1 <= places <= view.size:
        raise ValueError(
            f"method.places is {places}; it must be from 1 to {view.size}, the views' size."
        )


def centered(lab: Float[Array, "*places 3"]) -> Float[Array, "*places 3"]:
    """Lab as encoders are given it: within about 1 of 0, and 0 for the grey in the middle."""
    shape = (1,) * (lab.ndim - 1) + (3,)
    center = jnp.asarray((LIGHTNESS_CENTER, 0.0, 0.0)).reshape(shape)
    scale = jnp.asarray((LIGHTNESS_SCALE, AB_SCALE, AB_SCALE)).reshape(shape)
    return (lab - center) / scale


def lab_view(
    view: augment.ViewPolicy, images: Num[Array | np.ndarray, "batch height width 3"]
) -> Float[Array, "batch size size 3"]:
    """Whole images, as evaluations see them, in Lab."""
    return color.srgb_to_lab(augment.center_view(view, images))


def is_colored(lab: Float[Array, "batch height width 3"]) -> Float32[Array, " batch"]:
    """1 for images with a colour that is not nearly grey, 0 for the others."""
    strongest = jnp.max(jnp.abs(lab[..., 1:]), axis=(1, 2, 3))
    return (strongest > COLORED).astype(jnp.float32)


def pick(x: Float[Array, "batch side side dim"], places: int) -> Float[Array, "batch n n dim"]:
    """Takes every so-manieth pixel; a mean over pixels would have colours that are nowhere.

    Args:
      x: Images.
      places: How many pixels to take along a side.

    Returns:
      The pixels, from the first on.
    """
    stride = x.shape[1] // places
    return x[:, : places * stride : stride, : places * stride : stride]


def spread(x: Float[Array, "batch n n dim"], size: int) -> Float[Array, "batch {size} {size} dim"]:
    """Undoes `pick`, linearly between the pixels that were taken.

    Args:
      x: Values at the places.
      size: Pixels along a side of the images.

    Returns:
      Values at all pixels.
    """
    places = x.shape[1]
    where = np.minimum(np.arange(size) / (size // places), places - 1)
    weights = np.maximum(1.0 - np.abs(where[:, None] - np.arange(places)[None]), 0.0)
    matrix = jnp.asarray(weights, jnp.float32)
    return apply_separable(x, matrix, matrix)
