"""Parameters chosen by their names, or treated by them."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import optax

NORMS_AND_BIASES = r"(^|/)(bias|scale)$|(?i:norm)[^/]*/[^/]*$"
"""Matches the paths of biases and scales, and of whatever belongs to a module named as a norm."""


def name_mask(patterns: Sequence[str]) -> Callable[[chex.ArrayTree], Any]:
    """Makes a function that marks the parameters whose path no pattern matches.

    Args:
      patterns: Regular expressions, searched in paths such as `encoder/stem_conv/kernel`.

    Returns:
      A function from a tree of parameters to a tree of bools: False where a pattern matches. It
      raises ValueError if a pattern matches no parameter.
    """

    def mask(params: chex.ArrayTree) -> Any:
        paths_and_leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        paths = [
            jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths_and_leaves
        ]
        for pattern in patterns:
            if not any(re.search(pattern, path) for path in paths):
                raise ValueError(
                    f"The optimizer's exclude pattern {pattern!r} matches none of the parameters "
                    f"({', '.join(paths[:3])}, ...): correct it or take it out."
                )
        kept = [not any(re.search(pattern, path) for pattern in patterns) for path in paths]
        return jax.tree_util.tree_unflatten(structure, kept)

    return mask


def scale_by_name(factor: Callable[[str], float]) -> optax.GradientTransformation:
    """Multiplies the update of each parameter by a factor of its own.

    Args:
      factor: Of the parameter with a path, such as `encoder/stem_conv/kernel`; 0 leaves it as it
        is, where this comes after weight decay.

    Returns:
      The transformation, to be chained after those that compute the step.
    """

    def scaled(path: Any, update: chex.Array) -> chex.Array:
        return update * factor(jax.tree_util.keystr(path, simple=True, separator="/"))

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(scaled, updates))
