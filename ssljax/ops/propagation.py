"""Labels that follow features from frame to frame of a video."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int

from ssljax.ops.floats import as_float32
from ssljax.ops.normalize import l2_normalize

_BLOCK = 8
"""Places along a side of the squares of a frame whose affinities are in memory at one time."""

_FAR = -1e9
"""Affinity of what is not looked at."""


@dataclasses.dataclass(frozen=True)
class Following:
    """How each place of a frame finds its label in earlier frames.

    Attributes:
      recent: Earlier frames that are looked at, besides the first.
      top_k: Places of all those frames together, the likest ones, whose labels are mixed.
      radius: How far from its own place a place may look, in places.
      window: Whether that is a "square", or a "circle" whose rim is left out.
      temperature: By which affinities are divided before the softmax over the likest places.
      first_is_near: Whether the first frame too is looked at within the radius alone.
      stretch: Whether the map of each label is brought to [0, 1] before labels are compared.
    """

    recent: int
    top_k: int
    radius: int
    window: Literal["square", "circle"]
    temperature: float
    first_is_near: bool
    stretch: bool


FOLLOWING = {
    "crw": Following(20, 10, 12, "circle", 0.05, first_is_near=False, stretch=False),
    "dino": Following(7, 5, 12, "square", 0.1, first_is_near=True, stretch=True),
}
"""The settings of published protocols for DAVIS.

CRW: Jabri, Owens and Efros, Space-Time Correspondence as a Contrastive Random Walk
(arXiv:2006.14613), 2020; `code/test.py` of ajabri/videowalk. Its copies of the first frame, which
fill up the frames before a video's start, are left out here. DINO: Caron et al., 2021;
`eval_video_segmentation.py` of facebookresearch/dino.
"""


class Remembered(NamedTuple):
    """What is known of earlier frames of a video.

    Attributes:
      features: Unit vectors, of the first frame and of the most recent ones in a ring.
      labels: Shares of the labels at each place.
      count: How many frames have followed the first.
    """

    features: Float32[Array, "frames height width dim"]
    labels: Float32[Array, "frames height width labels"]
    count: Int[Array, ""]


def remember_first(
    features: Float[Array, "height width dim"],
    labels: Float[Array, "height width labels"],
    recent: int,
) -> Remembered:
    """Begins a video with a frame whose labels are known.

    Args:
      features: Of the first frame.
      labels: Shares of the labels at each place; they sum to 1.
      recent: See `Following`.

    Example:
      >>> import jax.numpy as jnp
      >>> print(remember_first(jnp.ones((2, 3, 4)), jnp.ones((2, 3, 1)), 7).features.shape)
      (8, 2, 3, 4)
    """
    room = ((0, recent), (0, 0), (0, 0), (0, 0))
    return Remembered(
        jnp.pad(l2_normalize(features)[None], room),
        jnp.pad(as_float32(labels)[None], room),
        jnp.zeros((), jnp.int32),
    )


def follow(
    remembered: Remembered, features: Float[Array, "height width dim"], how: Following
) -> tuple[Remembered, Float32[Array, "height width labels"]]:
    """Takes the labels of earlier frames to the next one, and remembers it with them.

    Affinities are cosines. Those of one square of places at a time are in memory, with the places
    that it may look at.

    Args:
      remembered: The earlier frames.
      features: Of the frame.
      how: Where its places look, and how they mix what they find.

    Returns:
      What is known now, and the shares of the labels at each place, which stay soft.

    Reference:
      Jabri, Owens and Efros, 2020, section 4.1; see `FOLLOWING`.

    Example:
      >>> import jax.numpy as jnp
      >>> first, moved = jnp.eye(4)[None], jnp.eye(4)[None, jnp.array([3, 0, 1, 2])]
      >>> start = remember_first(first, jnp.eye(4)[None, :, :2], 1)
      >>> _, labels = follow(start, moved, Following(1, 1, 4, "square", 0.1, True, False))
      >>> print(labels[0, :, 0])
      [0. 1. 0. 0.]
    """
    query = l2_normalize(features)
    there = jnp.arange(1 + how.recent) <= remembered.count
    labels = _looked_up(query, remembered, there, how)
    place = 1 + remembered.count % max(how.recent, 1)
    if how.recent:
        remembered = Remembered(
            remembered.features.at[place].set(query),
            remembered.labels.at[place].set(labels),
            remembered.count,
        )
    return remembered._replace(count=remembered.count + 1), labels


def _looked_up(
    query: Float32[Array, "height width dim"],
    known: Remembered,
    there: Bool[Array, "frames"],
    how: Following,
) -> Float32[Array, "height width labels"]:
    height, width, dim = query.shape
    kinds = known.labels.shape[-1]
    reach = min(how.radius, max(height, width))
    rows, columns = -(-height // _BLOCK), -(-width // _BLOCK)
    more = rows * _BLOCK - height, columns * _BLOCK - width
    side = _BLOCK + 2 * reach
    near = _window(reach, how)
    first = 0 if how.first_is_near else 1
    around = ((0, 0), (reach, reach + more[0]), (reach, reach + more[1]), (0, 0))
    features, labels = (jnp.pad(x[first:], around) for x in (known.features, known.labels))
    inside = jnp.pad(jnp.ones((1, height, width, 1), bool), around)
    queries = jnp.pad(query, ((0, more[0]), (0, more[1]), (0, 0)))

    def cut(x: Array, corner: tuple[Array, Array], size: int) -> Array:
        return lax.dynamic_slice(x, (0, *corner, 0), (x.shape[0], size, size, x.shape[3]))

    def block(number: Array) -> Float32[Array, "places labels"]:
        corner = number // columns * _BLOCK, number % columns * _BLOCK
        own = cut(queries[None], corner, _BLOCK).reshape(-1, dim)
        seen = cut(features, corner, side).reshape(-1, side**2, dim)
        affinities = jnp.einsum("qd,fsd->qfs", own, seen, precision=lax.Precision.HIGHEST)
        open_to = near[:, None] & cut(inside, corner, side).reshape(1, 1, -1)
        open_to &= there[first:].reshape(1, -1, 1)
        affinities = jnp.where(open_to, affinities, _FAR).reshape(len(own), -1)
        found = cut(labels, corner, side).reshape(-1, kinds)
        if first:  # All of the first frame is looked at.
            whole = known.features[0].reshape(-1, dim)
            everywhere = jnp.matmul(own, whole.T, precision=lax.Precision.HIGHEST)
            affinities = jnp.concatenate([everywhere, affinities], axis=1)
            found = jnp.concatenate([known.labels[0].reshape(-1, kinds), found])
        likest, places = lax.top_k(affinities, min(how.top_k, affinities.shape[1]))
        weights = jax.nn.softmax(likest / how.temperature, axis=1)
        return jnp.sum(weights[..., None] * found[places], axis=1)

    blocks = lax.map(block, jnp.arange(rows * columns))
    grid = blocks.reshape(rows, columns, _BLOCK, _BLOCK, kinds).swapaxes(1, 2)
    return grid.reshape(rows * _BLOCK, columns * _BLOCK, kinds)[:height, :width]


def _window(reach: int, how: Following) -> Bool[Array, "places seen"]:
    """Which places around a square each of its places may look at."""
    line = np.arange(_BLOCK + 2 * reach)[None] - reach - np.arange(_BLOCK)[:, None]
    down, along = line[:, None, :, None], line[None, :, None, :]
    if how.window == "circle":
        near = np.square(down) + np.square(along) < how.radius**2
    else:
        near = np.maximum(np.abs(down), np.abs(along)) <= how.radius
    return jnp.asarray(near.reshape(_BLOCK**2, -1))


def copy_by_similarity(
    queries: Float[Array, "*batch places dim"],
    keys: Float[Array, "*batch sources dim"],
    values: Float[Array, "*batch sources labels"],
    temperature: float = 1.0,
) -> Float32[Array, "*batch places labels"]:
    """Copies to each place the mean of what the sources have, weighted by how like they are.

    Args:
      queries: Embeddings of the places.
      keys: Embeddings of the sources, of any lengths: similarities are inner products.
      values: What the sources have, such as one-hot colours or shares of labels.
      temperature: By which similarities are divided before the softmax over all sources.

    Returns:
      The copies.

    Reference:
      Vondrick et al., Tracking Emerges by Colorizing Videos (arXiv:1806.09594), 2018, eq. 1 and 2.

    Example:
      >>> import jax.numpy as jnp
      >>> print(copy_by_similarity(jnp.eye(2), 50 * jnp.eye(2), jnp.array([[7.0], [9.0]])))
      [[7.]
       [9.]]
    """
    scores = jnp.einsum(
        "...qd,...sd->...qs",
        as_float32(queries),
        as_float32(keys),
        precision=lax.Precision.HIGHEST,
    )
    shares = jax.nn.softmax(scores / temperature, axis=-1)
    return jnp.einsum(
        "...qs,...sc->...qc", shares, as_float32(values), precision=lax.Precision.HIGHEST
    )
