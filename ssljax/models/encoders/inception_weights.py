"""Weights of the Inception network: names, layouts and a safetensors file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ssljax.errors import UserError
from ssljax.models.encoders.inception import InceptionV3
from ssljax.models.weights.layout import Layout, variables_of

Variables = dict[str, Any]

_PYTORCH = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def load_inception(path: str | Path) -> Variables:
    """Reads the variables of `InceptionV3` from a safetensors file.

    Args:
      path: A file whose tensors are named and laid out as in the PyTorch file of the weights;
        `python -m ssljax.tools.convert_inception` makes one.

    Returns:
      The collections `params` and `batch_stats`, as float32 NumPy arrays.

    Raises:
      UserError: If the file is missing or damaged, or its tensors are not those of the network.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"The Inception weights {str(path)!r} cannot be read ({error}): make the file with "
            "python -m ssljax.tools.convert_inception."
        ) from error
    try:
        return from_pytorch(tensors)
    except ValueError as error:
        raise UserError(f"The file {str(path)!r} is of another network: {error}") from error


def from_pytorch(tensors: Mapping[str, np.ndarray]) -> Variables:
    """Turns tensors of the PyTorch file into variables of `InceptionV3`.

    Args:
      tensors: Float32 arrays by name, such as `Mixed_5b.branch1x1.conv.weight` with axes (output,
        input, height, width). The bias of the logits, which no score uses, may be there or not.

    Returns:
      The collections `params` and `batch_stats`.

    Raises:
      ValueError: If tensors are missing or left over, or one has another shape or type.
    """
    given = {
        name: tensor
        for name, tensor in tensors.items()
        if name != "fc.bias" and not name.endswith(".num_batches_tracked")
    }
    return variables_of(given, pytorch_layout(), "Inception-v3")


def pytorch_layout() -> Layout:
    """The path in `InceptionV3`'s variables and the shape of each tensor of the PyTorch file."""
    image = jax.ShapeDtypeStruct((1, 75, 75, 3), jnp.float32)
    variables = jax.eval_shape(InceptionV3().init, jax.random.key(0), image)
    layout = {}
    for path, array in flax.traverse_util.flatten_dict(variables).items():
        _, *modules, leaf = path
        *window, last = array.shape
        inputs, sides = window[-1:], window[:-1]
        layout[".".join([*modules, _PYTORCH[leaf]])] = (path, (last, *inputs, *sides))
    return layout
