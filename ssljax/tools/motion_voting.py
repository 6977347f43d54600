"""What moves in a video by itself, as optical flow tells it and regions that look alike agree on.

The recipe is in the spirit of uNLC, the unsupervised non-local consensus voting of Pathak et al.,
Learning Features by Watching Objects Move (arXiv:1612.06370), 2017, section 4.1, which follows
Faktor and Irani, Video Segmentation by Non-Local Consensus Voting, 2014. It is plainer:

1. The camera's motion is the homography that RANSAC finds in the flow of a frame; what is left of
   the flow is the motion of things. uNLC takes the deviation from one direction instead.
2. A frame is parted into square cells, where uNLC has superpixels. A cell's vote is the mean length
   of what is left of the flow, set to 0 near the border and cut off at a large quantile of the
   video, so that a few fast cells do not silence the others.
3. Each cell looks for the cells of the video that are most like it in colour, texture, place and
   time, and takes the mean of their votes, weighted by likeness. That is repeated; its own first
   vote keeps a share. In each frame the largest vote is then 1.
4. Votes become pixels by a guided filter, by which they end at the edges of the frame.

Every value that is not named as the paper's is ours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import sparse, spatial

from ssljax.tools.video_motion import find_camera

VOID = 255
"""The number of pixels of which nothing is said, in a mask whose others are 0 and 1."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The numbers of the recipe.

    Attributes:
      cell: Side of a cell in pixels.
      border: Share of the shorter side, at the border, whose own votes are 0: the flow is least
        certain there. uNLC's code has 0.125, at the cost of what enters the picture.
      quantile: Of the lengths in a video at which votes are cut off.
      color: Distance in Lab that parts two cells as much as one of the following does.
      texture: Likewise, of the standard deviation of lightness within a cell.
      place: Likewise, in shares of the frame's shorter side.
      time: Likewise, in frames.
      neighbors: Cells that a cell listens to, itself among them.
      rounds: How often it does.
      kept: Share of its own first vote in each round.
      above: A pixel of a larger vote moves; 0.5 in uNLC's code.
      below: A pixel of a smaller vote does not; 0.3 there. Those between are void.
      blob: What moves is void where it is connected to less than this share of the largest
        connected part; uNLC's code has 0.6 and takes such parts for background.
      least: Smallest share of the frame that moves in a frame that is kept; the paper's 10 %.
      most: Largest; the paper's 80 %.
      most_at_border: Largest share of the pixels within 5 % of the frame's border that move; the
        paper's 10 %.
      most_void: Largest share of void.
      motion: Least length of what is left of the flow in the cells that move, in pixels a frame: in
        a still frame the largest vote is noise.
    """

    cell: int = 4
    border: float = 0.02
    quantile: float = 0.98
    color: float = 12.0
    texture: float = 12.0
    place: float = 0.2
    time: float = 8.0
    neighbors: int = 24
    rounds: int = 12
    kept: float = 0.2
    above: float = 0.5
    below: float = 0.3
    blob: float = 0.1
    least: float = 0.1
    most: float = 0.8
    most_at_border: float = 0.1
    most_void: float = 0.4
    motion: float = 0.5


def own_motion(flow: Float[np.ndarray, "height width 2"]) -> Float[np.ndarray, "height width"]:
    """How far each pixel moves, once the camera's motion is taken off.

    Args:
      flow: To the next frame, (x, y) in pixels.

    Returns:
      Lengths in pixels.
    """
    flow, none = flow.astype(np.float32), np.zeros((0, 2), np.float32)
    camera = find_camera(flow, none, none, none)
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    start = np.stack([x, y], axis=-1)
    moved = cv2.perspectiveTransform(start.reshape(1, -1, 2), camera).reshape(flow.shape)
    return np.linalg.norm(flow - (moved - start), axis=-1)


def votes(
    frames: UInt8[np.ndarray, "frames height width 3"],
    flows: Sequence[Float[np.ndarray, "height width 2"]],
    recipe: Recipe,
) -> tuple[Float[np.ndarray, "frames rows columns"], Float[np.ndarray, "frames rows columns"]]:
    """The cells' votes, once they have agreed.

    Args:
      frames: Of one video, red, green and blue.
      flows: From each of them to the next.
      recipe: See `Recipe`.

    Returns:
      Votes, in [0, 1], and how far each cell moves by itself, in pixels a frame.
    """
    moved = np.stack([_cells(own_motion(flow), recipe.cell) for flow in flows])
    first = np.minimum(moved / max(np.quantile(moved, recipe.quantile), 1e-6), 1.0)
    count, rows, columns = first.shape
    edge = round(recipe.border * min(frames.shape[1:3]) / recipe.cell)
    inside = np.zeros((rows, columns), bool)
    inside[edge : rows - edge, edge : columns - edge] = True
    first = np.where(inside, first, 0.0)
    flat = first.reshape(-1)
    weights = _likeness(_describe(frames, recipe), recipe)
    heard = flat
    for _ in range(recipe.rounds):
        heard = recipe.kept * flat + (1 - recipe.kept) * (weights @ heard)
    agreed = heard.reshape(count, rows, columns)
    return agreed / np.maximum(agreed.max(axis=(1, 2), keepdims=True), 1e-6), moved


def _cells(image: Float[np.ndarray, "height width"], cell: int) -> Float[np.ndarray, "rows cols"]:
    """Means of square cells; those at the end may be larger than the rest of the image."""
    height, width = image.shape
    size = max(width // cell, 1), max(height // cell, 1)
    means: Float[np.ndarray, "rows cols"] = cv2.resize(
        image.astype(np.float32), size, interpolation=cv2.INTER_AREA
    )
    return means


def _describe(
    frames: UInt8[np.ndarray, "frames height width 3"], recipe: Recipe
) -> Float[np.ndarray, "cells 7"]:
    """Colour, texture, place and time of each cell, in units of the recipe."""
    found = []
    for number, frame in enumerate(frames):
        lab = cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        means = [_cells(lab[..., channel], recipe.cell) for channel in range(3)]
        squares = _cells(np.square(lab[..., 0]), recipe.cell)
        spread = np.sqrt(np.maximum(squares - np.square(means[0]), 0.0))
        rows, columns = spread.shape
        unit = recipe.place * min(frame.shape[:2]) / recipe.cell
        y, x = np.mgrid[:rows, :columns] / unit
        when = np.full(spread.shape, number / recipe.time)
        colors = [mean / recipe.color for mean in means]
        found.append(np.stack([*colors, spread / recipe.texture, y, x, when], axis=-1))
    return np.stack(found).reshape(-1, 7)


def _likeness(cells: Float[np.ndarray, "cells dim"], recipe: Recipe) -> sparse.csr_array:
    """How much each cell listens to those that are most like it: rows that sum to 1."""
    count, neighbors = len(cells), min(recipe.neighbors, len(cells))
    distances, places = spatial.cKDTree(cells).query(cells, neighbors)
    weights = np.exp(-np.square(distances.reshape(count, neighbors)))
    weights /= weights.sum(axis=1, keepdims=True)
    starts = np.arange(0, count * neighbors + 1, neighbors)
    return sparse.csr_array((weights.reshape(-1), places.reshape(-1), starts), (count, count))


def mask_of(
    frame: UInt8[np.ndarray, "height width 3"],
    agreed: Float[np.ndarray, "rows columns"],
    recipe: Recipe,
) -> UInt8[np.ndarray, "height width"]:
    """The mask of a frame: 1 where something moves, 0 where nothing does, 255 where it is unsure.

    Args:
      frame: Red, green and blue.
      agreed: The votes of its cells.
      recipe: See `Recipe`.
    """
    height, width = frame.shape[:2]
    large = cv2.resize(agreed.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    lightness = cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0] / 100
    vote = guided_filter(lightness, large, 2 * recipe.cell)
    mask = np.full((height, width), VOID, np.uint8)
    mask[vote < recipe.below] = 0
    moving = _large_parts(vote > recipe.above, recipe.blob)
    mask[moving] = 1
    return mask


def guided_filter(
    guide: Float[np.ndarray, "height width"],
    image: Float[np.ndarray, "height width"],
    radius: int,
    noise: float = 0.02,
) -> Float[np.ndarray, "height width"]:
    """Smooths an image, but not across the edges of another one.

    Args:
      guide: Whose edges count, in [0, 1].
      image: What is smoothed.
      radius: Of the square windows, in each of which the result is linear in the guide.
      noise: Differences of the guide that are no edges.

    Returns:
      The smoothed image.

    Reference:
      He, Sun and Tang, Guided Image Filtering, 2010, section 3.
    """
    size = 2 * radius + 1

    def mean(x: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
        means: Float[np.ndarray, "height width"] = cv2.blur(x, (size, size))
        return means

    of_guide, of_image = mean(guide), mean(image)
    slope = (mean(guide * image) - of_guide * of_image) / (
        mean(guide * guide) - np.square(of_guide) + noise**2
    )
    return mean(slope) * guide + mean(of_image - slope * of_guide)


def _large_parts(
    moving: Bool[np.ndarray, "height width"], share: float
) -> Bool[np.ndarray, "height width"]:
    """The connected parts that are not small beside the largest."""
    count, numbers = cv2.connectedComponents(moving.astype(np.uint8))
    if count == 1:
        return moving
    sizes = np.bincount(numbers.reshape(-1), minlength=count)
    sizes[0] = 0
    large: Bool[np.ndarray, "height width"] = (sizes >= share * sizes.max())[numbers]
    return large & moving


def why_left_out(
    mask: UInt8[np.ndarray, "height width"],
    agreed: Float[np.ndarray, "rows columns"],
    moved: Float[np.ndarray, "rows columns"],
    recipe: Recipe,
) -> str:
    """Why a frame teaches nothing that could be trusted.

    Args:
      mask: See `mask_of`.
      agreed: The votes of its cells.
      moved: How far they move by themselves, in pixels.
      recipe: See `Recipe`.

    Returns:
      "still", "small", "large", "border" or "unsure"; empty if the frame is to be kept.
    """
    height, width = mask.shape
    down, across = (max(1, round(0.05 * side)) for side in (height, width))
    inside = np.zeros(mask.shape, bool)
    inside[down : height - down, across : width - across] = True
    moves = mask == 1
    far = moved[agreed > recipe.above]
    if not far.size or float(np.mean(far)) < recipe.motion:
        return "still"
    if np.mean(moves) < recipe.least:
        return "small"
    if np.mean(moves) > recipe.most:
        return "large"
    if np.mean(moves[~inside]) > recipe.most_at_border:
        return "border"
    return "unsure" if np.mean(mask == VOID) > recipe.most_void else ""
