"""Convolutions for which XLA on a CPU has no fast path, written so that it has one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

_NHWC = ("NHWC", "HWIO", "NHWC")


def conv_general_dilated(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "rows columns group_channels features"],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **options: Any,
) -> Float[Array, "batch out_height out_width features"]:
    """`jax.lax.conv_general_dilated`, as a product of matrices where the maps are tiny.

    XLA for the CPU has no fast path for a kernel that is larger than what it slides over, forwards
    or backwards: it was seen to take 40 to 90 times as long per operation. Where input or output is
    smaller than the kernel the patches are laid out in rows instead, and every backend multiplies
    matrices; these maps have few places, so the rows are few.

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
