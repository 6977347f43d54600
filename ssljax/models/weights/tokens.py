"""What a vision transformer's file keeps otherwise: patches, positions, and tokens before them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from ssljax.models.layers.positions import sincos_positions
from ssljax.models.weights.layout import CHANNELS, Layout, Misfit
from ssljax.models.weights.names import CLASS_POSITION, PATCH_POSITIONS, PATCHES

_POSITIONS, _TOKEN, _REGISTERS = "pos_embed", "cls_token", "reg_token"
_CHUNK = re.compile(r"^blocks\.\d+\.(\d+)\.")
"""Of DINOv2's blocks, which lie in chunks and are numbered through."""
_SAME = 1e-4
_KEYS, _KEYS_OF_PILLOW = -0.75, -0.5
"""Parameters of the cubic kernel: PyTorch's, and that which both have with antialiasing."""
_OFFSET = 0.1
"""Patches that DINOv2 adds: `DinoVisionTransformer.interpolate_pos_encoding`."""


def split_tokens(
    tensors: Mapping[str, np.ndarray], layout: Layout, mask_token: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], str]:
    """Brings a file's tensors to the names and shapes that our vision transformers have.

    Positions of another grid are interpolated as the file's authors do: where there are registers
    with antialiasing (`dinov2.hub.backbones`, and timm's `resample_abs_pos_embed`), of DINOv2's
    other files with its tenth of a patch more, and else plainly, as MAE, DeiT and MoCo v3 have it.
    No name tells apart the files of DINO's encoders, which have the tenth as well, and of those of
    timm, which antialiases.

    Args:
      tensors: Float32 arrays by timm's or DINOv2's names.
      layout: Of the encoder.
      mask_token: What the file has of that name, by which DINOv2's are known: theirs stands for a
        patch, (1, dim), and MAE's is its decoder's, (1, 1, dim).

    Returns:
      The tensors, as far as there are such; and what became of the positions, for the log.

    Raises:
      ValueError: If the file has patches of another size, or positions that the encoder cannot
        have.
    """
    found = {_CHUNK.sub(r"blocks.\1.", name): x for name, x in tensors.items()}
    if any(name.endswith("mlp.w12.weight") for name in found):
        raise ValueError(
            "its blocks have gated units (SwiGLU, as in DINOv2's ViT-g), and the encoder's have not"
        )
    if "register_tokens" in found:
        found[_REGISTERS] = found.pop("register_tokens")
    if PATCHES in found and PATCHES in layout:
        found[PATCHES] = _flat_patches(found[PATCHES], layout[PATCHES][1])
    if _POSITIONS not in found:
        return found, ""
    first, table = _grid(found.pop(_POSITIONS), found)
    if PATCH_POSITIONS in layout:
        rows, columns, _ = layout[PATCH_POSITIONS][1]
        told = ""
        if (rows, columns) != table.shape[:2]:
            told = (
                f"; positions were interpolated from {table.shape[0]}x{table.shape[1]} to "
                f"{rows}x{columns} patches"
            )
        antialias = _REGISTERS in found
        is_dinov2 = mask_token is not None and mask_token.ndim == 2
        offset = _OFFSET if is_dinov2 and not antialias else 0.0
        found[PATCH_POSITIONS] = bicubic(table, rows, columns, offset=offset, antialias=antialias)
        if CLASS_POSITION in layout:
            found[CLASS_POSITION] = first
        elif first.any():
            raise ValueError(
                "it has a position of a class token, and the encoder has no such token"
            )
        return found, told
    rows, columns, dim = table.shape
    known = np.zeros(())
    if dim % 4 == 0:
        known = np.asarray(sincos_positions(rows, columns, dim))
    if not np.abs(table - known).max() <= _SAME:
        raise Misfit(
            "its positions are not the sines and cosines of the encoder's", positions="learned"
        )
    if _TOKEN in found:
        found[_TOKEN] = found[_TOKEN] + first
    return found, ""


def join_tokens(
    tensors: Mapping[str, np.ndarray], patch_size: int, rows: int, columns: int
) -> tuple[dict[str, np.ndarray], bool]:
    """Turns our vision transformer's tensors into those of a file of timm's: see `split_tokens`.

    Args:
      tensors: By the names of `names.naming_of`.
      patch_size: Side of a patch in pixels.
      rows: Of patches, for fixed positions, which are written out.
      columns: Likewise.

    Returns:
      The tensors; and whether "pos_embed" is of the patches alone. The class token's position is
      then in its token. It is so where there are registers, or no class token.
    """
    found = dict(tensors)
    dim = len(found[PATCHES])
    kernel = found[PATCHES].reshape(dim, patch_size, patch_size, -1)
    found[PATCHES] = np.ascontiguousarray(kernel.transpose(0, 3, 1, 2))
    table = found.pop(PATCH_POSITIONS, None)
    if table is None:
        table = np.asarray(sincos_positions(rows, columns, dim))
    positions = table.reshape(1, -1, dim)
    first = found.pop(CLASS_POSITION, np.zeros((1, 1, dim), np.float32))
    alone = _REGISTERS in found or _TOKEN not in found
    if not alone:
        positions = np.concatenate([first, positions], axis=1)
    elif _TOKEN in found:
        found[_TOKEN] = found[_TOKEN] + first
    found[_POSITIONS] = positions
    return found, alone


def bicubic(
    table: np.ndarray, rows: int, columns: int, *, offset: float = 0.0, antialias: bool = False
) -> np.ndarray:
    """Interpolates positions to another grid, as `torch.nn.functional.interpolate` does.

    The grids' outer edges coincide. Places beyond the edge are those at the edge or, with
    antialiasing, do not count.

    Args:
      table: Positions (rows, columns, dim).
      rows: Rows wanted.
      columns: Columns wanted.
      offset: Added to both where the scale is made of them: DINO's and DINOv2's tenth of a patch,
        which keeps rounding from losing one.
      antialias: Whether a smaller grid averages what it leaves out, with Pillow's kernel.

    Returns:
      Float32; the positions themselves if the grid is the same.
    """
    if (rows, columns) == table.shape[:2]:
        return table
    shares = _averages if antialias else _samples
    down = shares(table.shape[0], rows, table.shape[0] / (rows + offset))
    across = shares(table.shape[1], columns, table.shape[1] / (columns + offset))
    return np.einsum("ri,cj,ijd->rcd", down, across, table.astype(np.float64)).astype(np.float32)


def _samples(known: int, wanted: int, scale: float) -> np.ndarray:
    """The share of each known place in each wanted one (Keys, 1981, with four places)."""
    shares = np.zeros((wanted, known))
    for place in range(wanted):
        center = (place + 0.5) * scale - 0.5
        first = math.floor(center) - 1
        for near in range(first, first + 4):
            shares[place, min(max(near, 0), known - 1)] += _cubic(abs(center - near), _KEYS)
    return shares


def _averages(known: int, wanted: int, scale: float) -> np.ndarray:
    """The same with a kernel that is as wide as a wanted place, and as a known one at least."""
    width = max(scale, 1.0)
    centers = (np.arange(wanted) + 0.5) * scale - 0.5
    distances = np.abs(centers[:, None] - np.arange(known)[None]) / width
    shares = np.vectorize(_cubic)(distances, _KEYS_OF_PILLOW)
    return shares / shares.sum(axis=1, keepdims=True)


def _cubic(x: float, a: float) -> float:
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0


def _flat_patches(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A convolution's kernel as a matrix of patches, whose values go by row, column and channel."""
    if kernel.ndim != 4:
        raise ValueError(f"its {PATCHES} is of shape {kernel.shape}, and no convolution's kernel")
    _, channels, height, width = kernel.shape
    if kernel[0].size != shape[1]:
        others = shape[1] / (height * width)
        raise Misfit(
            f"its patches are {height}x{width} pixels of {channels} channel(s), and the encoder's "
            f"have {shape[1]} values",
            **({CHANNELS: channels} if others in (1, 3) else {"patch_size": width}),
        )
    return kernel.transpose(0, 2, 3, 1).reshape(len(kernel), -1)


def _grid(
    positions: np.ndarray, tensors: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The position of the class token, (1, 1, dim), and those of the patches, (rows, columns, dim).

    Raises:
      ValueError: If the patches are not a square, or registers have positions.
    """
    count, dim = positions.shape[-2:]
    positions = positions.reshape(1, count, dim)
    before = 1 if _TOKEN in tensors and math.isqrt(count - 1) ** 2 == count - 1 else 0
    side = math.isqrt(count - before)
    if side**2 != count - before:
        raise ValueError(f"its {count} positions are not those of a square of patches")
    first = positions[:, :before] if before else np.zeros((1, 1, dim), np.float32)
    return first, positions[0, before:].reshape(side, side, dim)
