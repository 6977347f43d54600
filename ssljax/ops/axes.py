"""A batch that lies on several devices: under `jit` on any mesh, and inside `shard_map` or `pmap`.

Under `jit` an array is the whole batch, wherever its rows lie. Inside `shard_map` and `pmap` it is
what one device holds, and a loss with terms that combine several rows needs the name of the mapped
axis, `axis_name`. It then returns the loss of the whole batch, the same on every device. The
gradient by parameters that all devices share is that loss's, once it is averaged over the axis
(`lax.pmean`).

Losses without `axis_name` are means of terms that each depend on one row. Average the value with
`lax.pmean` inside the function that is differentiated, and then the gradient as above. Outside it
is too late: unless it has `check_vma=False`, `shard_map` adds up the devices' gradients by shared
parameters, and on N devices the sum of the means over each one's rows is N times too large.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Shaped

P = ParamSpec("P")
R = TypeVar("R")

AxisName = str | tuple[str, ...] | None
"""The mapped axis or axes over which a batch lies; None where an array is the whole batch."""


def batch_size(rows: Shaped[Array, "batch ..."], axis_name: AxisName) -> int:
    """Number of rows on all devices.

    Args:
      rows: This device's rows.
      axis_name: The mapped axis.

    Returns:
      The size of the whole batch.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> both = jax.vmap(lambda x: jnp.int32(batch_size(x, "i")), axis_name="i")
      >>> print(both(jnp.zeros((2, 3))))
      [6 6]
    """
    return rows.shape[0] * (1 if axis_name is None else lax.axis_size(axis_name))


def all_rows(
    rows: Shaped[Array, "batch *values"], axis_name: AxisName
) -> Shaped[Array, "all *values"]:
    """The rows of all devices, in the devices' order.

    Args:
      rows: This device's rows.
      axis_name: The mapped axis.

    Returns:
      The whole batch; what each device derives from it sends gradients back to every row.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> both = jax.vmap(lambda x: all_rows(x, "i"), axis_name="i")
      >>> print(both(jnp.array([[1, 2], [3, 4]])))
      [[1 2 3 4]
       [1 2 3 4]]
    """
    return rows if axis_name is None else lax.all_gather(rows, axis_name, tiled=True)


def own_places(rows: Shaped[Array, "batch ..."], axis_name: AxisName) -> Bool[Array, "batch all"]:
    """Which of `all_rows` each of this device's rows is.

    Args:
      rows: This device's rows.
      axis_name: The mapped axis.

    Returns:
      True at [i, j] where row i is row j of the whole batch.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> both = jax.vmap(lambda x: own_places(x, "i").astype(int), axis_name="i")
      >>> print(both(jnp.zeros((2, 1, 5))))
      [[[1 0]]
      <BLANKLINE>
       [[0 1]]]
    """
    first = 0 if axis_name is None else lax.axis_index(axis_name) * rows.shape[0]
    places = first + jnp.arange(rows.shape[0])
    return places[:, None] == jnp.arange(batch_size(rows, axis_name))[None, :]


def mean_over(value: Shaped[Array, "*shape"], axis_name: AxisName) -> Shaped[Array, "*shape"]:
    """Mean over the devices.

    Args:
      value: This device's value.
      axis_name: The mapped axis.

    Returns:
      The mean, the same on every device.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> print(jax.vmap(lambda x: mean_over(x, "i"), axis_name="i")(jnp.array([1.0, 3.0])))
      [2. 2.]
    """
    return value if axis_name is None else lax.pmean(value, axis_name)


def sum_over(value: Shaped[Array, "*shape"], axis_name: AxisName) -> Shaped[Array, "*shape"]:
    """Sum over the devices.

    Args:
      value: This device's value.
      axis_name: The mapped axis.

    Returns:
      The sum, the same on every device.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> print(jax.vmap(lambda x: sum_over(x, "i"), axis_name="i")(jnp.array([1.0, 3.0])))
      [4. 4.]
    """
    return value if axis_name is None else lax.psum(value, axis_name)


def on_any_mesh(
    like: str | tuple[str | None, ...] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function that is written for one device or a mesh of Auto axes work on any mesh.

    On a mesh of Explicit axes, the default of `jax.make_mesh`, a product of all pairs of rows has
    no layout that follows from its arguments'. The function's body is handed to the compiler's own
    partitioner instead, as on Auto axes; elsewhere nothing happens.

    Args:
      like: Names of the parameters that the results are laid out like, one for each result; None
        for a result that every device gets whole.

    Returns:
      A decorator.

    Example:
      >>> import jax.numpy as jnp
      >>> gram = on_any_mesh()(lambda x: x @ x.T)
      >>> print(gram(jnp.array([[1.0], [2.0]])))
      [[1. 2.]
       [2. 4.]]
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs).arguments
            leaves, structure = jax.tree.flatten(dict(given))
            arrays = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)}
            meshes = [jax.typeof(array).sharding.mesh for array in arrays.values()]
            mesh = next((mesh for mesh in meshes if AxisType.Explicit in mesh.axis_types), None)
            if mesh is None:
                return function(*args, **kwargs)

            def sharding(name: str | None) -> NamedSharding:
                spec = PartitionSpec() if name is None else jax.typeof(given[name]).sharding.spec
                return NamedSharding(mesh, spec)

            # Numbers and names stay outside, where they are checked as what they are.
            def body(*values: Array) -> R:
                merged = [*leaves]
                for i, value in zip(arrays, values, strict=True):
                    merged[i] = value
                return cast(Any, function)(**jax.tree.unflatten(structure, merged))

            out = tuple(map(sharding, like)) if isinstance(like, tuple) else sharding(like)
            explicit = zip(mesh.axis_names, mesh.axis_types, strict=True)
            axes = tuple(name for name, kind in explicit if kind == AxisType.Explicit)
            return jax.sharding.auto_axes(body, axes=axes, out_sharding=out)(*arrays.values())

        return wrapped

    return decorate
