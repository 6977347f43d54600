"""Tensors of weight files, by the names that they have there."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ssljax.errors import UserError, brief

_PYTORCH = (".pth", ".pt", ".bin", ".tar", ".ckpt")
_COUNTER = ".num_batches_tracked"
"""What PyTorch's batch norms count, and nothing reads."""
_OF_TRAINING = ("optimizer", "opt", "scaler", "scheduler", "lr_scheduler")
"""Parts of a checkpoint that hold no network."""


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a file of weights.

    Args:
      path: A safetensors file, or one that `torch.save` made, whatever its name.

    Returns:
      The tensors by name, without the counters of batch norms.

    Raises:
      UserError: If the file is missing or damaged or holds something else, or PyTorch is needed and
        not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {str(path)!r}: name one with weights.")
    if path.suffix in _PYTORCH or _is_of_pytorch(path):
        return read_pytorch(path)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError) as error:
        # NumPy lacks some of the types that such a file may have.
        raise UserError(
            f"The weights {str(path)!r} cannot be read ({brief(error)}): give a safetensors file, "
            "or one that torch.save made."
        ) from error
    return _without_counters(tensors)


def read_pytorch(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a file that `torch.save` made of a state dictionary; no code in it is run.

    Args:
      path: Of the file. It may hold several state dictionaries by name, as checkpoints of training
        do, beside what is no tensor.

    Returns:
      As `read_tensors`. A tensor of a dictionary in the file, such as "teacher", has a name that
      begins with that of the dictionary. What belongs to an optimizer is left out.

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
        # Options of a command line, which checkpoints of MAE and DINO hold.
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(
            f"The PyTorch file {str(path)!r} cannot be read: {brief(error)}."
        ) from error
    found = dict(_named(state, torch.Tensor)) if isinstance(state, Mapping) else {}
    if not found:
        raise UserError(f"The PyTorch file {str(path)!r} holds no state dictionary of tensors.")
    # NumPy has no such type.
    tensors = {name: x.float() if x.dtype == torch.bfloat16 else x for name, x in found.items()}
    return _without_counters({name: tensor.numpy() for name, tensor in tensors.items()})


def _named(state: Mapping[Any, Any], kind: type) -> Iterator[tuple[str, Any]]:
    """Tensors with their names, those of inner dictionaries with a dot."""
    for name, x in state.items():
        if isinstance(x, kind):
            yield str(name), x
        elif isinstance(x, Mapping) and name not in _OF_TRAINING:
            for inner, tensor in _named(x, kind):
                yield f"{name}.{inner}", tensor


def _is_of_pytorch(path: Path) -> bool:
    """Whether a file begins as those of `torch.save`: a zip archive or, of old, a pickle."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        return False  # Who reads it tells why.
    # A safetensors file begins with 8 bytes of any kind, and a brace.
    return start.startswith((b"PK\x03\x04", b"\x80")) and start[8:] != b"{"


def _without_counters(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name: np.ascontiguousarray(tensor)
        for name, tensor in tensors.items()
        if not name.endswith(_COUNTER)
    }
