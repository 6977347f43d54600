"""The README's recipes for a batch that lies on several devices: its own code, run as it stands."""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from ssljax import losses

README = Path(__file__).parents[2] / "README.md"
BATCH, DIM = 16, 6
ROWS, WHOLE = PartitionSpec("data"), PartitionSpec()


def _encode(params, x):
    return jnp.tanh(x @ params)


def _recipes():
    """The functions that the README calls `device_step`, by the loss that each of them uses."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    recipes = {}
    for block in blocks:
        if "def device_step" in block:
            names = {"jax": jax, "encode": _encode} | vars(losses)
            exec(block, names)
            recipes[re.search(r"(\w+)\(encode", block)[1]] = names["device_step"]
    return recipes


RECIPES = _recipes()


def _arguments():
    rng = np.random.default_rng(0)
    shapes = (DIM, DIM), (BATCH, DIM), (BATCH, DIM)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def _in_shard_map(step, check_vma):
    mesh = jax.make_mesh((8,), ("data",))
    places = (WHOLE, ROWS, ROWS)
    mapped = jax.shard_map(step, mesh=mesh, in_specs=places, out_specs=WHOLE, check_vma=check_vma)
    shardings = [NamedSharding(mesh, place) for place in places]
    return jax.jit(mapped)(*map(jax.device_put, _arguments(), shardings))


def _in_pmap(step):
    params, *views = _arguments()
    split = [x.reshape(8, -1, DIM) for x in views]
    mapped = jax.pmap(step, axis_name="data", in_axes=(None, 0, 0))
    return jax.tree.map(lambda x: x[0], jax.device_get(mapped(params, *split)))


WAYS = {
    "shard_map": functools.partial(_in_shard_map, check_vma=True),
    "shard_map without check_vma": functools.partial(_in_shard_map, check_vma=False),
    "pmap": _in_pmap,
}


def test_there_is_a_recipe_for_losses_with_an_axis_name_and_for_those_without():
    assert set(RECIPES) == {"nt_xent", "negative_cosine"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_the_loss_and_gradient_of_the_whole_batch(name, way):
    params, x1, x2 = _arguments()

    def loss(params):
        return vars(losses)[name](_encode(params, x1), _encode(params, x2))

    expected = jax.value_and_grad(loss)(params)
    value, gradient = WAYS[way](RECIPES[name])
    np.testing.assert_allclose(value, expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-6)
