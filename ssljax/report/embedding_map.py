"""Maps of embeddings: what a network takes for alike lies near each other on a plane."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Int, Real, UInt8
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from ssljax.report.pictures import Picture

PROJECTIONS = ("tsne", "pca")
COLORS = ("#0072b2", "#d55e00", "#007a5a", "#aa4499", "#9a7400", "#5f6a72")
"""They differ for all kinds of colour blindness, and are dark enough for lines on white."""
_PERPLEXITY, _DIMENSIONS, _FEWEST = 30.0, 50, 5
_SIDE, _THUMBNAIL, _FRAME, _WHITE = 960, 30, 2, 255


def plane(
    embeddings: Real[np.ndarray, "rows dim"], projection: str = "tsne", seed: int = 0
) -> Float[np.ndarray, "rows 2"]:
    """Lays embeddings out on a plane.

    Args:
      embeddings: Finite, and at least one.
      projection: "pca", the two directions in which they vary most, or "tsne", in which neighbours
        stay neighbours and distances mean nothing else. It begins at PCA's plane, reads the 50
        directions in which they vary most, has a perplexity of 30 where there are a hundred rows
        or more, and leaves fewer than five rows to PCA.
      seed: Of t-SNE.

    Returns:
      Places; all at 0 where the embeddings do not differ.

    Raises:
      ValueError: If there is no such projection.

    Reference:
      Van der Maaten and Hinton, Visualizing Data using t-SNE, 2008.
    """
    if projection not in PROJECTIONS:
        raise ValueError(
            f"There is no projection {projection!r}: there are {', '.join(PROJECTIONS)}."
        )
    rows = embeddings.astype(np.float64)
    rows -= rows.mean(axis=0)
    scale = np.abs(rows).max(initial=0.0)
    if scale < 1e-12 * max(1.0, float(np.abs(embeddings).max(initial=0))) or not scale:
        return np.zeros((len(rows), 2))
    left, singular, right = np.linalg.svd(rows / scale, full_matrices=False)
    # A direction and its opposite are as good: of the two, that of the largest share is taken.
    largest = np.take_along_axis(right, np.abs(right).argmax(axis=1)[:, None], axis=1)[:, 0]
    directions = left * singular * np.where(largest < 0, -1.0, 1.0)
    if projection == "tsne" and len(rows) >= _FEWEST:
        perplexity = min(_PERPLEXITY, (len(rows) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed)
        read = directions[:, :_DIMENSIONS]
        if read.shape[1] > 1:
            # Where others use the cores too, its threads spend many times its work on waiting.
            with threadpool_limits(1, user_api="openmp"):
                placed: Float[np.ndarray, "rows 2"] = tsne.fit_transform(read.astype(np.float32))
            return placed.astype(np.float64)
    padded = np.pad(directions[:, :2], [(0, 0), (0, max(0, 2 - directions.shape[1]))])
    return padded * scale


def map_picture(
    points: Float[np.ndarray, "images 2"],
    images: UInt8[np.ndarray, "images height width _"],
    labels: Int[np.ndarray, " images"] | None = None,
) -> Picture:
    """Draws images where a map has them, as thumbnails that do not overlap.

    Of those that would lie over each other the one nearest to the middle of its place is seen.

    Args:
      points: Of the images, such as `plane` gives.
      images: Of 1 or 3 channels.
      labels: Their classes, for frames in `COLORS`, after six the same again; -1, or None, for
        none.

    Returns:
      The picture, no larger than the map: its longer side has about 960 pixels, or that of one
      thumbnail where all points are the same.
    """
    cell = _THUMBNAIL + 2 * _FRAME
    count = _SIDE // cell
    places = points - points.min(axis=0)
    places *= (count - 1) / max(float(places.max(initial=0)), 1e-12)
    # Up on the map is up in the picture.
    places[:, 1] = places[:, 1].max() - places[:, 1]
    cells = np.round(places).astype(int)
    columns, rows = cells.max(axis=0) + 1
    far = np.square(places - cells).sum(axis=1)
    picture = np.full((rows * cell, columns * cell, 3), _WHITE, np.uint8)
    known = np.full(len(points), -1) if labels is None else labels
    colors = [tuple(bytes.fromhex(color[1:])) for color in COLORS]
    # The nearest are drawn last.
    for row in np.argsort(-far, kind="stable"):
        left, top = cells[row] * cell
        frame = colors[known[row] % len(colors)] if known[row] >= 0 else (_WHITE,) * 3
        picture[top : top + cell, left : left + cell] = frame
        inner = slice(top + _FRAME, top + cell - _FRAME), slice(left + _FRAME, left + cell - _FRAME)
        picture[inner] = _thumbnail(images[row])
    return picture


def _thumbnail(image: UInt8[np.ndarray, "height width channels"]) -> np.ndarray:
    larger = max(image.shape[:2]) < _THUMBNAIL
    how = cv2.INTER_NEAREST if larger else cv2.INTER_AREA
    small = cv2.resize(image, (_THUMBNAIL, _THUMBNAIL), interpolation=how)
    return small.reshape(_THUMBNAIL, _THUMBNAIL, -1)
