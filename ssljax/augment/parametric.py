"""Random transformations of images with known parameters, for a network to tell.

Parameters are normalised: each has about the same size. From them, true or told by a network, the
matrices for `warp` are made.
"""

import dataclasses
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ssljax.augment.geometry import affine_matrices
from ssljax.augment.homography import at_pixel_centers, corner_homographies, sample_corners
from ssljax.augment.keys import uniform


@runtime_checkable
class Transformation(Protocol):
    """A family of maps of square images.

    Attributes:
      count: Parameters of a map.
      bounded: Whether all of them lie in [-1, 1].
    """

    count: int
    bounded: bool

    def sample(self, keys: Key[Array, " batch"]) -> Float[Array, "batch count"]:
        """Draws the normalised parameters of a map with each key."""

    def matrices(self, parameters: Float[Array, "batch count"]) -> Float[Array, "batch 3 3"]:
        """Makes the maps for `warp`, from places in the result to places in the image."""


@dataclasses.dataclass(frozen=True)
class Affine:
    """Turns, shifts by whole pixels, zooms and shears, each drawn uniformly.

    The parameters are the cosine and the sine of the turn, the shifts to the right and down, the
    zoom and the shear; all but the first two go from -1 to 1 where their range is not empty.

    Attributes:
      side: Side of the images in pixels.
      degrees: Largest turn, either way.
      translate: Largest shift, either way, as a fraction of the side.
      scale: Range of the zoom.
      shear: Largest shear in degrees, either way; see `affine_matrices`.

    Raises:
      ValueError: If a range is empty or impossible.

    Reference:
      Zhang et al., AET vs. AED: Unsupervised Representation Learning by Auto-Encoding
      Transformations rather than Data, 2019; `cifar/affine` of maple-research-lab/AET. The authors
      turn clockwise, about a point half a pixel right of and below the centre.
    """

    side: int
    degrees: float = 180.0
    translate: float = 0.2
    scale: tuple[float, float] = (0.7, 1.3)
    shear: float = 30.0

    count = 6
    bounded = True

    def __post_init__(self) -> None:
        if min(self.degrees, self.translate, self.shear) < 0.0 or self.shear >= 90.0:
            raise ValueError(
                "degrees, translate and shear must not be negative and shear must be less than "
                f"90, got {self.degrees}, {self.translate} and {self.shear}."
            )
        if not 0.0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be 0 < low <= high, got {self.scale}.")

    def sample(self, keys: Key[Array, " batch"]) -> Float[Array, "batch 6"]:
        """Draws the parameters of a map with each key."""
        draws = 2.0 * uniform(keys, 5) - 1.0
        angle = jnp.deg2rad(self.degrees * draws[:, 0])
        reach = self.translate * self.side
        shift = jnp.round(reach * draws[:, 1:3]) / reach if reach else 0.0 * draws[:, 1:3]
        turn = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
        return jnp.concatenate([turn, shift, draws[:, 3:]], axis=1)

    def matrices(self, parameters: Float[Array, "batch 6"]) -> Float[Array, "batch 3 3"]:
        """Makes the maps for `warp`."""
        degrees = jnp.rad2deg(jnp.arctan2(parameters[:, 1], parameters[:, 0]))
        shift = self.translate * self.side * parameters[:, 2:4]
        low, high = self.scale
        scale = 0.5 * (low + high) + 0.5 * (high - low) * parameters[:, 4]
        shear = self.shear * parameters[:, 5]
        return affine_matrices(degrees, shift, scale, self.side, self.side, shear)


@dataclasses.dataclass(frozen=True)
class Projective:
    """Zooms, quarter turns, and a shift of each corner by whole pixels.

    The parameters are the first eight coefficients of the map from places in the result to places
    in the image, in pixels from the upper left corner, the ninth being 1; each less its mean and
    divided by its size.

    Attributes:
      side: Side of the images in pixels.
      corner_shift: Largest shift of a corner along each axis, either way, as a fraction of the
        side.
      scale: Range of the zoom.
      quarter_turns: Whether images are turned by 0, 1, 2 or 3 quarters.
      mean: What is subtracted of the coefficients; the authors' for 32 pixels.
      std: What they are divided by then; likewise.

    Raises:
      ValueError: If a range is empty or impossible.

    Reference:
      Zhang et al., AET vs. AED: Unsupervised Representation Learning by Auto-Encoding
      Transformations rather than Data, 2019; `cifar/projective` of maple-research-lab/AET. The
      authors zoom about a point half a pixel right of and below the centre.
    """

    side: int
    corner_shift: float = 0.125
    scale: tuple[float, float] = (0.8, 1.2)
    quarter_turns: bool = True
    mean: tuple[float, ...] = (0.0, 0.0, 16.0, 0.0, 0.0, 16.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 20.0, 1.0, 1.0, 20.0, 0.015, 0.015)

    count = 8
    bounded = False

    def __post_init__(self) -> None:
        if len(self.mean) != self.count or len(self.std) != self.count or min(self.std) <= 0.0:
            raise ValueError(
                "mean and std must have a number for each of 8 coefficients, std positive, got "
                f"{self.mean} and {self.std}."
            )

    def sample(self, keys: Key[Array, " batch"]) -> Float[Array, "batch 8"]:
        """Draws the parameters of a map with each key."""
        shift = round(self.corner_shift * self.side)
        corners = sample_corners(keys, self.side, self.side, shift, self.scale, self.quarter_turns)
        maps = corner_homographies(corners, self.side, self.side)
        coefficients = maps.reshape(-1, 9)[:, :8]
        return (coefficients - jnp.asarray(self.mean)[None]) / jnp.asarray(self.std)[None]

    def matrices(self, parameters: Float[Array, "batch 8"]) -> Float[Array, "batch 3 3"]:
        """Makes the maps for `warp`."""
        coefficients = parameters * jnp.asarray(self.std)[None] + jnp.asarray(self.mean)[None]
        ninth = jnp.ones_like(coefficients[:, :1])
        maps = jnp.concatenate([coefficients, ninth], axis=1).reshape(-1, 3, 3)
        return at_pixel_centers(maps)
