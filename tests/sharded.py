"""Arrays on eight simulated devices, and what a compiled program sends between them."""

import math
import re

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def on_eight_devices(arrays: list[jax.Array], axis: int = 0) -> list[jax.Array]:
    """The arrays, split along one axis."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec(*[None] * axis, "data")
    return [jax.device_put(array, NamedSharding(mesh, spec)) for array in arrays]


def collective_sizes(text: str) -> list[int]:
    """Number of elements of each array that a collective of the compiled program returns."""
    pattern = r"= (.*?) (?:all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)\("
    sizes = []
    for shapes in re.findall(pattern, text):
        for dims in re.findall(r"\[([\d,]*)\]", re.sub(r"\{[^}]*\}", "", shapes)):
            sizes.append(math.prod(int(d) for d in dims.split(",") if d))
    return sizes
