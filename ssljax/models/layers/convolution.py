"""Convolutions for which XLA on a CPU has no fast path, written so that it has one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ssljax.ops.pixel_shuffle import pixel_shuffle

_NHWC = ("NHWC", "HWIO", "NHWC")


def conv_general_dilated(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "rows columns group_channels features"],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **options: Any,
) -> Float[Array, "batch out_height out_width features"]:
    """`jax.lax.conv_general_dilated`, written otherwise where that is slow on a CPU.

    XLA for the CPU has no fast path for a kernel that is larger than what it slides over, forwards
    or backwards: it was seen to take 40 to 90 times as long per operation. Where input or output is
    smaller than the kernel the patches are laid out in rows instead, and every backend multiplies
    matrices; these maps have few places, so the rows are few.

    Nor is XLA for the CPU fast where a large kernel leads to the colours of an image or from them:
    a product of matrices with 3 columns was seen to take 3 times as long as one with 12, of four
    times the sums. There, and on a CPU alone, squares of 2x2 places are taken as one.

    Args:
      x: Input.
      kernel: Of any size.
      window_strides: Step in each direction.
      padding: Zeros before and after, in each direction.
      **options: For `jax.lax.conv_general_dilated`. Dilation and groups take its path always.

    Returns:
      The output.
    """
    sides = kernel.shape[:2]
    padded = [side + sum(pads) for side, pads in zip(x.shape[1:3], padding, strict=True)]
    places = [
        (side - size) // stride + 1
        for side, size, stride in zip(padded, sides, window_strides, strict=True)
    ]
    is_tiny = any(
        min(side, place) < size
        for side, place, size in zip(x.shape[1:3], places, sides, strict=True)
    )
    is_plain = options.get("feature_group_count", 1) == 1 and all(
        set(options.get(key) or (1,)) == {1} for key in ("lhs_dilation", "rhs_dilation")
    )
    if is_plain and not is_tiny and _is_of_colors(kernel, window_strides, places):
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
        return _in_squares(x, kernel, options.get("precision"))
    if not (is_tiny and is_plain):
        return lax.conv_general_dilated(x, kernel, window_strides, padding, **options)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    stops = [(place - 1) * stride + 1 for place, stride in zip(places, window_strides, strict=True)]
    patches = [
        x[
            :,
            row : row + stops[0] : window_strides[0],
            column : column + stops[1] : window_strides[1],
        ]
        for row in range(sides[0])
        for column in range(sides[1])
    ]
    return jnp.matmul(
        jnp.concatenate(patches, axis=-1),
        kernel.reshape(-1, kernel.shape[-1]),
        precision=options.get("precision"),
    )


def _is_of_colors(kernel: Array, strides: Sequence[int], places: Sequence[int]) -> bool:
    """Whether a convolution is one of those that `_in_squares` is faster for, and can make."""
    rows, columns, channels, features = kernel.shape
    return (
        jax.default_backend() == "cpu"
        and min(channels, features) <= 4
        and max(channels, features) >= 16
        and rows == columns >= 7
        and rows % 2 == 1
        and set(strides) == {1}
        and all(place % 2 == 0 for place in places)
    )


def _in_squares(x: Array, kernel: Array, precision: Any) -> Array:
    """A convolution of stride 1 without padding, for squares of 2x2 places at once.

    A square of places sees a square of the input that is one pixel larger than the kernel, and so a
    whole number of squares.
    """
    size, _, channels, features = kernel.shape
    squares = (size + 1) // 2
    moved = [
        jnp.pad(kernel, ((row, 1 - row), (column, 1 - column), (0, 0), (0, 0)))
        for row in (0, 1)
        for column in (0, 1)
    ]
    # The channels of a square are in the order of `pixel_shuffle`: channel, row, column.
    kernel = jnp.stack(moved, axis=-1).reshape(squares, 2, squares, 2, channels, 4 * features)
    kernel = kernel.transpose(0, 2, 4, 1, 3, 5).reshape(squares, squares, 4 * channels, -1)
    batch, height, width, _ = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 5, 2, 4)
    x = x.reshape(batch, height // 2, width // 2, 4 * channels)
    y = lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=_NHWC, precision=precision
    )
    return pixel_shuffle(y, 2)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_transpose(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "size size channels features"],
    stride: int,
    margin: int | None = None,
) -> Float[Array, "batch out_height out_width features"]:
    """`jax.lax.conv_transpose`, which here enlarges by its stride exactly.

    XLA for the CPU has no fast path for its gradient by the kernel: it was seen to take 17 to 27
    times as long as that of the convolution that goes the other way, which is the same sum and
    taken instead.

    Args:
      x: Input.
      kernel: Square.
      stride: Step in both directions.
      margin: Zeros before the first place of the convolution that goes the other way, at most
        `size - stride`; None for those of the padding "SAME".

    Returns:
      The output.
    """
    padding: str | list[tuple[int, int]] = "SAME"
    if margin is not None:
        before = kernel.shape[0] - 1 - margin
        padding = [(before, kernel.shape[0] + stride - 2 - before)] * 2
    return lax.conv_transpose(x, kernel, (stride, stride), padding, dimension_numbers=_NHWC)


def _forward(
    x: Array, kernel: Array, stride: int, margin: int | None
) -> tuple[Array, tuple[Array, Array]]:
    return conv_transpose(x, kernel, stride, margin), (x, kernel)


def _backward(
    stride: int, margin: int | None, saved: tuple[Array, Array], slope: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    padding: str | list[tuple[int, int]] = "SAME"
    if margin is not None:
        padding = [(margin, kernel.shape[0] - stride - margin)] * 2

    def other_way(kernel: Array) -> Array:
        turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
        strides = (stride, stride)
        return lax.conv_general_dilated(slope, turned, strides, padding, dimension_numbers=_NHWC)

    # <slope, conv_transpose(x, kernel)> is <other_way(kernel), x>, linear in each.
    by_x, by_kernel = jax.vjp(other_way, kernel)
    return by_x, by_kernel(x)[0]


conv_transpose.defvjp(_forward, _backward)
