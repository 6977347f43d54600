"""Which patches of an image are hidden. Masks depend on a key and an example's place alone.

The mask of example i is the same whatever the size of the batch and however it lies over devices.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


def unit_masks(
    key: PRNGKeyArray, batch: int, grid: tuple[int, int], unit: int, mask_ratio: float
) -> Bool[Array, "batch patches"]:
    """Hides squares of patches at random, the same number in every example.

    Args:
      key: Random key.
      batch: Number of examples in the global batch.
      grid: Rows and columns of patches; multiples of `unit`.
      unit: Side of a square in patches.
      mask_ratio: Share of squares to hide, in (0, 1); their number is rounded up.

    Returns:
      True where a patch is hidden, row by row of the image.

    Raises:
      ValueError: If squares do not fill the grid, or all or none would be hidden.

    Reference:
      Xie et al., SimMIM: a Simple Framework for Masked Image Modeling, 2022, section 3.2.

    Example:
      >>> import jax
      >>> mask = unit_masks(jax.random.key(0), 2, (4, 4), 2, 0.5)
      >>> print(mask.reshape(2, 2, 2, 2, 2).all((2, 4)).sum((1, 2)))
      [2 2]
    """
    if unit < 1 or grid[0] % unit or grid[1] % unit:
        raise ValueError(
            f"{grid[0]}x{grid[1]} patches cannot be hidden in squares of {unit}x{unit}: give "
            "squares that fill the view."
        )
    rows, columns = grid[0] // unit, grid[1] // unit
    hidden = math.ceil(rows * columns * mask_ratio)
    if not 0 < hidden < rows * columns:
        raise ValueError(
            f"A mask ratio of {mask_ratio} hides {hidden} of {rows * columns} squares; at least "
            "one must be hidden and one visible."
        )

    def mask(key: PRNGKeyArray) -> Bool[Array, " patches"]:
        rank = jnp.argsort(jnp.argsort(jax.random.uniform(key, (rows * columns,))))
        squares = (rank < hidden).reshape(rows, columns)
        return jnp.repeat(jnp.repeat(squares, unit, axis=0), unit, axis=1).reshape(-1)

    made: Array = _for_each(mask, key, batch)
    return made


def blockwise_masks(
    key: PRNGKeyArray,
    counts: Float[Array, "batch"],
    grid: tuple[int, int],
    smallest: int,
    attempts: int = 40,
) -> Bool[Array, "batch patches"]:
    """Hides blocks of patches until as many are hidden as are asked for, or nearly.

    A block has an area between `smallest` and what is still to be hidden, and an aspect ratio
    between 0.3 and 1 / 0.3, drawn evenly in its logarithm. It is taken if it fills neither side of
    the grid, hides something new, and not too much. As in the authors' code an example is done
    after ten blocks in a row that were not taken; here also after a number of blocks in all, since
    loops whose length depends on the data would make the devices wait for each other.

    Args:
      key: Random key.
      counts: How many patches each example hides at most; they need not be whole.
      grid: Rows and columns of patches.
      smallest: Least area of a block, in patches.
      attempts: Number of blocks that are drawn.

    Returns:
      True where a patch is hidden, row by row of the image.

    Reference:
      Bao et al., BEiT: BERT Pre-Training of Image Transformers, 2022, algorithm 1; `loader.py` of
      bytedance/ibot.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> mask = blockwise_masks(jax.random.key(0), jnp.array([0.0, 40.0]), (14, 14), 4)
      >>> print(bool(mask[0].any()), bool(30 < mask[1].sum() <= 40))
      False True
    """

    def mask(key: PRNGKeyArray, count: Float[Array, ""]) -> Bool[Array, " patches"]:
        def propose(state: tuple[Array, Array, Array], key: PRNGKeyArray) -> tuple[Any, None]:
            hidden, number, failures = state
            area_key, aspect_key, place_key = jax.random.split(key, 3)
            left = count - number
            area = smallest + jax.random.uniform(area_key) * (left - smallest)
            limit = math.log(1.0 / 0.3)
            aspect = jnp.exp(jax.random.uniform(aspect_key, minval=-limit, maxval=limit))
            size = tuple(
                jnp.round(jnp.sqrt(jnp.maximum(x, 0.0))).astype(jnp.int32)
                for x in (area * aspect, area / aspect)
            )
            fits = (size[0] < grid[0]) & (size[1] < grid[1])
            size = jnp.minimum(size[0], grid[0]), jnp.minimum(size[1], grid[1])
            block = _block(place_key, grid, size) & ~hidden
            new = jnp.sum(block, dtype=jnp.float32)
            taken = fits & (new > 0) & (new <= left) & (failures < 10)
            return (
                hidden | (block & taken),
                number + jnp.where(taken, new, 0.0),
                jnp.where(taken, 0, failures + 1),
            ), None

        start = jnp.zeros(grid[0] * grid[1], bool), jnp.float32(0.0), jnp.int32(0)
        state, _ = jax.lax.scan(propose, start, jax.random.split(key, attempts))
        hidden: Array = state[0]
        return hidden

    made: Array = _for_each(mask, key, len(counts), counts)
    return made


class Blocks(NamedTuple):
    """Patches of a context and of targets in it, filled up to one number.

    Attributes:
      context: Places of the context's patches, row by row of the image.
      context_present: False for those that only fill up.
      targets: Places of each target's patches.
      targets_present: False for those that only fill up.
    """

    context: Int[Array, "batch seen"]
    context_present: Bool[Array, "batch seen"]
    targets: Int[Array, "batch blocks each"]
    targets_present: Bool[Array, "batch blocks each"]


def context_and_targets(
    key: PRNGKeyArray,
    batch: int,
    grid: tuple[int, int],
    blocks: int = 4,
    target_scale: tuple[float, float] = (0.15, 0.2),
    target_aspect: tuple[float, float] = (0.75, 1.5),
    context_scale: tuple[float, float] = (0.85, 1.0),
    capacity: float = 0.5,
    least: int = 10,
) -> Blocks:
    """Lays out a few target blocks, and one large block that sees what they do not cover.

    As in the authors' code, the sizes of the blocks are drawn once for the batch, and their places
    in each example. There every context is cut to the smallest of the batch. Here shapes do not
    depend on chance: each example has all of its context, up to a capacity beyond which patches are
    dropped at random, and is filled up to it with patches that are marked as absent. Besides, scale
    and aspect are drawn apart, where the code has one number for both; blocks may touch all edges
    of the image, where the code's never reach the last row and column; and of an example eight
    layouts are tried, the first with enough context taken, and the one with most if none has.

    Args:
      key: Random key.
      batch: Number of examples in the global batch.
      grid: Rows and columns of patches, each at least 2.
      blocks: Number of targets.
      target_scale: Least and greatest share of all patches that a target has.
      target_aspect: Least and greatest height of a target by its width.
      context_scale: Least and greatest share of all patches of the square context, targets
        included. No block fills a whole side.
      capacity: Share of all patches that a context has at most.
      least: A context should have more patches than this.

    Returns:
      The blocks.

    Raises:
      ValueError: If a range is empty or the capacity leaves no patch.

    Reference:
      Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive
      Architecture, 2023, section 3; `src/masks/multiblock.py` of facebookresearch/ijepa.

    Example:
      >>> import jax
      >>> found = context_and_targets(jax.random.key(0), 2, (14, 14))
      >>> print(found.context.shape, found.targets.shape)
      (2, 98) (2, 4, 45)
    """
    patches, seen = grid[0] * grid[1], int(capacity * grid[0] * grid[1])
    for low, high in (target_scale, target_aspect, context_scale):
        if not 0 < low <= high:
            raise ValueError(f"Blocks cannot be drawn from {low} to {high}: give a range above 0.")
    if min(grid) < 2 or seen < 1:
        raise ValueError(
            f"A grid of {grid[0]}x{grid[1]} patches with a context of {seen} is too small."
        )
    # Rounding adds up to a half to either side.
    area = int(patches * target_scale[1])
    most = max(area + math.sqrt(area) * (x**0.5 + x**-0.5) / 2 + 0.25 for x in target_aspect)
    each = min(int(most), (grid[0] - 1) * (grid[1] - 1))
    size_key, square_key, place_key = jax.random.split(key, 3)
    target_size = _block_size(size_key, grid, target_scale, target_aspect)
    context_size = _block_size(square_key, grid, context_scale, (1.0, 1.0))

    def lay_out(key: PRNGKeyArray) -> tuple[Array, Array]:
        keys = jax.random.split(key, blocks + 1)
        targets = jax.vmap(lambda key: _block(key, grid, target_size))(keys[1:])
        return _block(keys[0], grid, context_size) & ~jnp.any(targets, axis=0), targets

    def masks(key: PRNGKeyArray) -> Blocks:
        try_key, drop_key = jax.random.split(key)
        contexts, targets = jax.vmap(lay_out)(jax.random.split(try_key, 8))
        counts = jnp.sum(contexts, axis=1)
        chosen = jnp.argmax(jnp.where(counts > least, patches + 1, counts))
        context, target = contexts[chosen], targets[chosen]
        order = jax.random.uniform(drop_key, (patches,))
        places = jnp.argsort(jnp.where(context, order, 2.0))[:seen]
        firsts = jnp.argsort(~target, axis=1)[:, :each]
        return Blocks(places, context[places], firsts, jnp.take_along_axis(target, firsts, axis=1))

    blocked: Blocks = _for_each(masks, place_key, batch)
    return blocked


def _block_size(
    key: PRNGKeyArray,
    grid: tuple[int, int],
    scale: tuple[float, float],
    aspect: tuple[float, float],
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Draws rows and columns of a block, which fills neither side of the grid."""
    scale_key, aspect_key = jax.random.split(key)
    share = jax.random.uniform(scale_key, minval=scale[0], maxval=scale[1])
    ratio = jax.random.uniform(aspect_key, minval=aspect[0], maxval=aspect[1])
    area = jnp.floor(grid[0] * grid[1] * share)
    rows, columns = (
        jnp.clip(jnp.round(jnp.sqrt(x)).astype(jnp.int32), 1, side - 1)
        for x, side in zip((area * ratio, area / ratio), grid, strict=True)
    )
    return rows, columns


def _block(
    key: PRNGKeyArray, grid: tuple[int, int], size: tuple[Int[Array, ""], Int[Array, ""]]
) -> Bool[Array, " patches"]:
    """Places a block anywhere in the grid."""
    sides = []
    for part, side, length in zip(jax.random.split(key), grid, size, strict=True):
        start = jax.random.randint(part, (), 0, side - length + 1)
        places = jnp.arange(side)
        sides.append((places >= start) & (places < start + length))
    return (sides[0][:, None] & sides[1][None]).reshape(-1)


def _for_each(make: Callable[..., Any], key: PRNGKeyArray, batch: int, *arrays: Array) -> Any:
    """Gives each example a key of its own, by its place, and its row of the arrays."""
    keys = jax.vmap(lambda example: jax.random.fold_in(key, example))(jnp.arange(batch))
    return jax.vmap(make)(keys, *arrays)
