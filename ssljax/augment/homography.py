"""Homographies by where they move the corners of an image.

Maps are between places in pixels from the upper left corner of the image, so that its corners are
(0, 0) and (width, height); the centre of the first pixel is (0.5, 0.5). `at_pixel_centers` makes of
them what `warp` takes.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ssljax.augment.keys import between, fold_keys, uniform


def sample_corners(
    keys: Key[Array, " batch"],
    height: int,
    width: int,
    shift: int,
    scale: tuple[float, float] = (1.0, 1.0),
    quarter_turns: bool = True,
) -> Float[Array, "batch 4 2"]:
    """Samples where the corners of images move: a zoom, perhaps a turn, and a shift of each corner.

    Args:
      keys: One key per example.
      height: Height of the images in pixels.
      width: Width of the images in pixels.
      shift: Largest shift of a corner along each axis, either way; all are whole pixels.
      scale: Range of the zoom about the centre.
      quarter_turns: Whether each image is turned by 0, 1, 2 or 3 quarters as well.

    Returns:
      (x, y) of what was the top left, top right, bottom right and bottom left corner.

    Raises:
      ValueError: If the range of the zoom is empty, or a shift is negative or so large that a
        smaller image could be turned inside out.

    Reference:
      Zhang et al., AET vs. AED: Unsupervised Representation Learning by Auto-Encoding
      Transformations rather than Data, 2019; `dataset.py` of maple-research-lab/AET.
    """
    if not 0.0 < scale[0] <= scale[1]:
        raise ValueError(f"scale must be 0 < low <= high, got {scale}.")
    if not 0 <= 4 * shift < scale[0] * min(height, width):
        raise ValueError(
            f"shift must be from 0 to less than a quarter of the smaller side at the smallest "
            f"scale, {scale[0] * min(height, width) / 4:g} pixels, got {shift}."
        )
    draws = uniform(keys, 2)
    zoom = between(draws[:, 0], scale)
    turns = jnp.floor((4.0 if quarter_turns else 0.0) * draws[:, 1]).astype(jnp.int32)
    size = jnp.asarray([width, height], jnp.float32)
    around = jnp.asarray([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * size[None]
    places = (jnp.arange(4)[None] + turns[:, None]) % 4
    corners = 0.5 * size[None, None] + zoom[:, None, None] * around[places]
    draw = jax.vmap(lambda key: jax.random.randint(key, (4, 2), -shift, shift + 1))
    return corners + draw(fold_keys(keys, 1)).astype(jnp.float32)


def corner_homographies(
    corners: Float[Array, "batch 4 2"], height: int, width: int
) -> Float[Array, "batch 3 3"]:
    """Maps from each place in the result to the place in the image that is seen there.

    Args:
      corners: Where (x, y) the corners of the image move, as `sample_corners` orders them; no three
        on a line.
      height: Height of the images in pixels.
      width: Width of the images in pixels.

    Returns:
      One matrix per example, whose last entry is 1.

    Reference:
      Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989, section 2.2.3.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (
        (corners[:, i, 0], corners[:, i, 1]) for i in range(4)
    )
    # The map of the unit square to the corners, in closed form.
    right_x, right_y, left_x, left_y = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    bent_x, bent_y = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    area = right_x * left_y - left_x * right_y
    g = (bent_x * left_y - left_x * bent_y) / area
    h = (right_x * bent_y - bent_x * right_y) / area
    a, b = x1 - x0 + g * x1, x3 - x0 + h * x3
    d, e = y1 - y0 + g * y1, y3 - y0 + h * y3
    one = jnp.ones_like(a)
    forward = jnp.stack([jnp.stack(row, -1) for row in ([a, b, x0], [d, e, y0], [g, h, one])], -2)
    back = invert(forward) * jnp.asarray([width, height, 1.0])[None, :, None]
    return back / back[:, 2:, 2:]


def invert(matrices: Float[Array, "batch 3 3"]) -> Float[Array, "batch 3 3"]:
    """Inverts homographies, up to a factor that they do not depend on.

    Args:
      matrices: Homographies.

    Returns:
      Their adjugates: all is multiplication, so that no precision of a solver is involved.
    """
    rows = [matrices[:, i] for i in range(3)]
    columns = [
        jnp.cross(rows[1], rows[2]),
        jnp.cross(rows[2], rows[0]),
        jnp.cross(rows[0], rows[1]),
    ]
    return jnp.stack(columns, axis=-1)


def at_pixel_centers(matrices: Float[Array, "batch 3 3"]) -> Float[Array, "batch 3 3"]:
    """The same maps for `warp`, between places of which the first pixel's centre is (0, 0).

    Args:
      matrices: Maps between places that are counted from the upper left corner.

    Returns:
      One matrix per example.
    """
    # (x, y) -> (x + 1/2, y + 1/2), the map, and 1/2 off again.
    shifted = matrices.at[:, :, 2].add(0.5 * (matrices[:, :, 0] + matrices[:, :, 1]))
    return shifted.at[:, :2].add(-0.5 * shifted[:, 2:])
