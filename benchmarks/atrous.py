"""Times an atrous 3x3 convolution in several forms, forwards and with its gradients.

    python -m benchmarks.atrous

The forms: `jax.lax` with a dilated kernel, which the models use; the map's subgrids as a batch, in
which the convolution has no holes; the patches in rows, for one product of matrices. On one core of
an AMD EPYC beside other work (2026-11-26, milliseconds forwards / with gradients): the last stage
of a ResNet, 2 maps of 30x30x128 at dilation 4, took 13 / 60, 21 / 91 and 22 / 73; a branch of an
atrous pyramid, 2 maps of 30x30x256 to 11 classes, at dilation 6 1.8 / 49, 12 / 36 and 14 / 48, and
at dilation 24, where the kernel is larger than the map, 3.5 / 56, 104 / 326 and 9.3 / 40.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Map = Float[Array, "batch height width channels"]
Kernel = Float[Array, "size size channels features"]

CASES = {
    "last stage": ((2, 30, 30, 128), 128, 4),
    "pyramid, rate 6": ((2, 30, 30, 256), 11, 6),
    "pyramid, rate 24": ((2, 30, 30, 256), 11, 24),
    "context": ((2, 60, 60, 11), 11, 8),
}
"""Shape of the map, channels of the result, dilation."""

ROUNDS = 7


def dilated(x: Map, kernel: Kernel, dilation: int) -> Map:
    """A kernel with holes."""
    pad = dilation * (kernel.shape[0] // 2)
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        [(pad, pad)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def subgrids(x: Map, kernel: Kernel, dilation: int) -> Map:
    """Every `dilation`-th row and column, from each first one, as images of their own."""
    batch, height, width, channels = x.shape
    pad = dilation * (kernel.shape[0] // 2)
    rows, columns = (-(-(side + 2 * pad) // dilation) for side in (height, width))
    below, right = rows * dilation - height - pad, columns * dilation - width - pad
    x = jnp.pad(x, ((0, 0), (pad, below), (pad, right), (0, 0)))
    x = x.reshape(batch, rows, dilation, columns, dilation, channels).transpose(0, 2, 4, 1, 3, 5)
    x = x.reshape(-1, rows, columns, channels)
    y = lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    rows, columns, features = y.shape[1:]
    y = y.reshape(batch, dilation, dilation, rows, columns, features).transpose(0, 3, 1, 4, 2, 5)
    return y.reshape(batch, rows * dilation, columns * dilation, features)[:, :height, :width]


def in_rows(x: Map, kernel: Kernel, dilation: int) -> Map:
    """The patches as rows of a matrix."""
    size, (_, height, width, _) = kernel.shape[0], x.shape
    pad = dilation * (size // 2)
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    starts = [dilation * place for place in range(size)]
    patches = [x[:, row : row + height, col : col + width] for row in starts for col in starts]
    return jnp.matmul(jnp.concatenate(patches, axis=-1), kernel.reshape(-1, kernel.shape[-1]))


FORMS: dict[str, Callable[[Map, Kernel, int], Map]] = {
    "dilated": dilated,
    "subgrids": subgrids,
    "in rows": in_rows,
}


def milliseconds(call: Callable[[], object]) -> float:
    """The least time of some calls."""
    jax.block_until_ready(call())
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return round(1e3 * min(times), 2)


def main() -> None:
    """Prints one JSON line a case."""
    for name, (shape, features, dilation) in CASES.items():
        x = jax.random.normal(jax.random.key(0), shape)
        kernel = jax.random.normal(jax.random.key(1), (3, 3, shape[-1], features))
        found = {}
        for form, convolve in FORMS.items():
            forward = jax.jit(functools.partial(convolve, dilation=dilation))

            def energy(x: Map, kernel: Kernel, forward: Callable[..., Map] = forward) -> Array:
                return jnp.sum(jnp.square(forward(x, kernel)))

            both = jax.jit(jax.grad(energy, (0, 1)))
            found[form] = [
                milliseconds(functools.partial(call, x, kernel)) for call in (forward, both)
            ]
        print(json.dumps({"case": name} | found), flush=True)


if __name__ == "__main__":
    main()
