"""The start of any run with the weights of a file, `config.pretrained.weights`.

Every copy of the encoder in the untrained state, such as that of a target network, gets the
weights; all else stays as it is. No method knows of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from ssljax import models, paths
from ssljax.errors import UserError
from ssljax.methods.contract import TrainState
from ssljax.models import weights

PyTree = Any
_log = logging.getLogger(__name__)
_ENCODER, _DECODER = "encoder", "decoder"


def check(state: TrainState) -> None:
    """Raises a `UserError` unless a state has an encoder of which files are known.

    Args:
      state: The untrained state, or its shapes.
    """
    _encoder(state)


def start_with(
    state: TrainState, file: str, shardings: PyTree, keys: ConfigDict | None = None
) -> TrainState:
    """Puts the weights of a file into an untrained state.

    Args:
      state: As its method has made it.
      file: Of an encoder as the state has one, and perhaps of MAE's decoder: see
        `weights.find_encoder`.
      shardings: Of the state.
      keys: `config.model.encoder`, if there is such a part.

    Returns:
      The state, placed likewise.

    Raises:
      UserError: If the state has no such encoder, or the file cannot be read or is of another one.
    """
    shapes = _encoder(state)
    heads = getattr(models.encoder_from_config(keys), "heads", None) if keys else None
    tensors = weights.read_tensors(paths.local_copy(paths.resolve(file)))
    try:
        found = weights.find_encoder(tensors, shapes, heads)
    except ValueError as error:
        raise weights.misfit(file, error) from error
    told = found.told
    for collection, given in found.variables.items():
        state = _replaced(state, shapes[collection], given)
    decoder = next(_named(state.params, _DECODER), None)
    if decoder is not None and "mask_token" in decoder:
        taken = weights.find_decoder(tensors, {"params": decoder})
        if taken is not None:
            state = _replaced(state, decoder, taken["params"])
        told += "; MAE's decoder " + ("was read as well" if taken else "starts untrained")
    if jax.process_index() == 0:
        _log.info("The encoder starts with %s: %s. All else starts untrained.", file, told)
    return jax.tree.map(_placed, state, shardings)


def _placed(x: Any, sharding: Any) -> jax.Array:
    if isinstance(x, jax.Array):
        return x
    # A step may take over the memory of its state, and copies of the encoder share that of `x`.
    return jnp.copy(jax.make_array_from_callback(x.shape, sharding, lambda part: x[part]))


def _encoder(state: TrainState) -> dict[str, PyTree]:
    """The collections of the encoder that the weights are for.

    Raises:
      UserError: If there is none of which files are known.
    """
    for params in _named(state.params, _ENCODER):
        if weights.is_readable(params):
            shapes = {"params": params}
            for variables in state.variables.values():
                for collection, tree in variables.items():
                    for found in _named(tree, _ENCODER):
                        shapes.setdefault(collection, found)
            return shapes
    raise UserError(
        "The method has no encoder whose weights could be read from a file: config.pretrained."
        "weights is for methods with a ResNet, a VGG or a vision transformer (config.model.encoder."
        "name), which is given whole images."
    )


def _named(tree: PyTree, name: str) -> Iterator[Mapping[str, PyTree]]:
    """The inner dictionaries of that name, from the outermost."""
    if isinstance(tree, Mapping):
        for key, inner in tree.items():
            if key == name and isinstance(inner, Mapping):
                yield inner
            yield from _named(inner, name)


def _replaced(state: TrainState, like: PyTree, new: PyTree) -> TrainState:
    """The state with `new` for every dictionary of the form of `like`."""
    form = _form(like)

    def walk(tree: PyTree) -> PyTree:
        if not isinstance(tree, Mapping):
            return tree
        if tree.keys() == like.keys() and _form(tree) == form:
            return new
        return {key: walk(inner) for key, inner in tree.items()}

    return state.replace(
        params=walk(state.params), variables=walk(state.variables), memory=walk(state.memory)
    )


def _form(tree: PyTree) -> dict[tuple[str, ...], tuple[int, ...]]:
    return {path: tuple(np.shape(x)) for path, x in flatten_dict(tree).items()}
