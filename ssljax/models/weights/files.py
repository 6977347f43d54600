"""Tensors of weight files, by the names that they have there."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ssljax.errors import UserError, brief

_PYTORCH = (".pth", ".pt", ".bin")
_COUNTER = ".num_batches_tracked"
"""What PyTorch's batch norms count, and nothing reads."""


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a file of weights.

    Args:
      path: A safetensors file, or one that `torch.save` made of a state dictionary, which ends in
        .pth, .pt or .bin.

    Returns:
      The tensors by name, without the counters of batch norms.

    Raises:
      UserError: If the file is missing or damaged or holds something else, or PyTorch is needed and
        not installed.
    """
    path = Path(path)
    if path.suffix in _PYTORCH:
        return read_pytorch(path)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError) as error:
        # NumPy lacks some of the types that such a file may have.
        raise UserError(
            f"The weights {str(path)!r} cannot be read ({brief(error)}): give a safetensors file, "
            "or a PyTorch file whose name ends in .pth."
        ) from error
    return _without_counters(tensors)


def read_pytorch(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a file that `torch.save` made of a state dictionary; no code in it is run.

    Args:
      path: Of the file.

    Returns:
      As `read_tensors`.

    Raises:
      UserError: As `read_tensors`.
    """
    if not Path(path).is_file():
        raise UserError(f"There is no file {str(path)!r}: name one with weights.")
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"PyTorch is needed to read {str(path)!r}: install it for this (pip install torch), or "
            "give the same weights as a safetensors file."
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(
            f"The PyTorch file {str(path)!r} cannot be read: {brief(error)}."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(x, torch.Tensor) for x in state.values()):
        raise UserError(f"The PyTorch file {str(path)!r} holds no state dictionary of tensors.")
    # NumPy has no such type.
    tensors = {name: x.float() if x.dtype == torch.bfloat16 else x for name, x in state.items()}
    return _without_counters({name: tensor.numpy() for name, tensor in tensors.items()})


def _without_counters(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name: np.ascontiguousarray(tensor)
        for name, tensor in tensors.items()
        if not name.endswith(_COUNTER)
    }
