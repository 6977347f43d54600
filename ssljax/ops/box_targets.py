"""Which box each place of a pyramid of maps answers for, and how central in it the place is."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from ssljax.ops.boxes import box_areas


def map_places(rows: int, columns: int, stride: float) -> Float32[np.ndarray, "places 2"]:
    """Centres of the places of a map, in pixels of the image.

    Args:
      rows: Of the map.
      columns: Likewise.
      stride: Pixels from one place to the next.

    Returns:
      (down, right) of each place, row by row.

    Example:
      >>> print(map_places(1, 2, 8.0))
      [[ 4.  4.]
       [ 4. 12.]]
    """
    y, x = np.mgrid[:rows, :columns].reshape(2, -1)
    return ((np.stack([y, x], axis=1) + 0.5) * stride).astype(np.float32)


def box_distances(
    places: Float[Array, "*#rows 2"], boxes: Float[Array, "*#rows 4"]
) -> Float[Array, "*all 4"]:
    """How far the sides of boxes are from places.

    Args:
      places: (down, right) of each place.
      boxes: (top, left, bottom, right) of the place's box.

    Returns:
      Distances to the top, left, bottom and right sides; below 0 where the place lies beyond one.

    Example:
      >>> import jax.numpy as jnp
      >>> print(box_distances(jnp.array([4.0, 5.0]), jnp.array([0.0, 0.0, 10.0, 20.0])))
      [ 4.  5.  6. 15.]
    """
    return jnp.concatenate([places - boxes[..., :2], boxes[..., 2:] - places], axis=-1)


def boxes_at(
    places: Float[Array, "*#rows 2"], distances: Float[Array, "*#rows 4"]
) -> Float[Array, "*all 4"]:
    """The boxes whose sides are so far from places; undoes `box_distances`.

    Args:
      places: (down, right) of each place.
      distances: To the top, left, bottom and right sides.

    Returns:
      (top, left, bottom, right).

    Example:
      >>> import jax.numpy as jnp
      >>> print(boxes_at(jnp.array([4.0, 5.0]), jnp.array([4.0, 5.0, 6.0, 15.0])))
      [ 0.  0. 10. 20.]
    """
    return jnp.concatenate([places - distances[..., :2], places + distances[..., 2:]], axis=-1)


def center_ness(distances: Float[Array, "*rows 4"]) -> Float[Array, "*rows"]:
    """How near places are to the centres of their boxes: 1 there, 0 at a side and beyond it.

    Args:
      distances: As `box_distances` gives them.

    Returns:
      Values in [0, 1].

    Reference:
      Tian et al., FCOS (arXiv:1904.01355), 2019, eq. 3.

    Example:
      >>> import jax.numpy as jnp
      >>> print(center_ness(jnp.array([[3.0, 5.0, 3.0, 5.0], [1.0, 1.0, 4.0, 1.0]])))
      [1.  0.5]
    """
    ratios = jnp.minimum(distances[..., :2], distances[..., 2:])
    most = jnp.maximum(distances[..., :2], distances[..., 2:])
    shares = jnp.maximum(ratios, 0.0) / jnp.where(most > 0.0, most, 1.0)
    return jnp.sqrt(shares[..., 0] * shares[..., 1])


def assign_boxes(
    places: Float[Array, "places 2"],
    strides: Float[Array, " places"],
    ranges: Float[Array, "places 2"],
    boxes: Float[Array, "boxes 4"],
    classes: Float[Array, " boxes"] | Int[Array, " boxes"],
    radius: float,
) -> Int[Array, " places"]:
    """The box that each place answers for: of those it may have, the smallest.

    A place may have a box within whose middle it lies, and whose farthest side is so far away as
    the place's level is made for.

    Args:
      places: (down, right) of each place, of all levels.
      strides: Of the level of each.
      ranges: Distances (from, to) of the farthest side that the level of each is made for.
      boxes: Of one image.
      classes: Of the boxes; below 0 for a row that is no box.
      radius: Half a side of a box's middle, in strides, as far as the box reaches; 0 for the whole
        box.

    Returns:
      The box of each place, or -1; of two of one size the first.

    Reference:
      Tian et al., FCOS (arXiv:1904.01355), 2019, sections 3.1 and 3.2; centre sampling as in the
      authors' code, `fcos_core/modeling/rpn/fcos/loss.py` of tianzhi0549/FCOS.

    Example:
      >>> import jax.numpy as jnp
      >>> places = jnp.array([[4.0, 4.0], [4.0, 12.0], [4.0, 20.0]])
      >>> boxes = jnp.array([[0.0, 0.0, 8.0, 16.0], [0.0, 0.0, 8.0, 10.0]])
      >>> whole = jnp.full(3, 8.0), jnp.broadcast_to(jnp.array([0.0, 64.0]), (3, 2))
      >>> print(assign_boxes(places, *whole, boxes, jnp.array([0, 2]), radius=0.0))
      [ 1  0 -1]
    """
    distances = box_distances(places[:, None], boxes[None])
    inside = jnp.min(distances, axis=-1) > 0.0
    if radius > 0.0:
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2.0
        reach = radius * strides[:, None, None]
        inside &= jnp.max(jnp.abs(places[:, None] - middle[None]) - reach, axis=-1) < 0.0
    farthest = jnp.max(distances, axis=-1)
    fits = (farthest >= ranges[:, :1]) & (farthest <= ranges[:, 1:])
    may = inside & fits & (classes >= 0)[None]
    areas = jnp.where(may, box_areas(boxes)[None], jnp.inf)
    return jnp.where(jnp.any(may, axis=1), jnp.argmin(areas, axis=1), -1).astype(jnp.int32)
