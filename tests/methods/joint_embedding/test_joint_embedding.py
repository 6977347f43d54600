"""What every joint-embedding method promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax import config as configs
from ssljax import methods
from ssljax.config import file as config_file
from ssljax.methods import passes
from ssljax.methods.contract import Task, Turn
from ssljax.methods.joint_embedding import (
    barlow_twins,
    byol,
    dcl,
    moco,
    moco_v3,
    nnclr,
    simclr,
    simsiam,
    vicreg,
)
from ssljax.run.step import init_state, make_step

NAMES = {
    "simclr": simclr.SimCLR,
    "moco": moco.MoCo,
    "moco_v3": moco_v3.MoCoV3,
    "byol": byol.BYOL,
    "simsiam": simsiam.SimSiam,
    "nnclr": nnclr.NNCLR,
    "dcl": dcl.DCL,
    "barlow_twins": barlow_twins.BarlowTwins,
    "vicreg": vicreg.VICReg,
}
METHODS = list(NAMES.values())
CONFIGS = [
    f"{name}/{data_set}"
    for name in (*NAMES, "deepcluster_v2", "dino", "mae", "swav")
    for data_set in ("fashion_mnist", "cifar10", "imagenet")
]
VARIANTS = [
    "byol/imagenet:40",
    "byol/imagenet:100",
    "byol/imagenet:300",
    "deepcluster_v2/imagenet:2x224",
    "moco/imagenet:v1",
    "moco_v3/imagenet:vit_base",
    "moco_v3/imagenet:vit_small",
    "simclr/cifar10:cpu",
    "swav/imagenet:2x224",
    "swav/imagenet:batch256",
]


@pytest.mark.parametrize("kind", METHODS)
def test_eight_devices_learn_what_one_learns(tiny, first_steps, kind):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    everywhere, split = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
    method, states, alone = first_steps(kind)
    step = tiny.jit(make_step(method))
    state = jax.device_put(states[0], everywhere)
    for number in range(3):
        state, together = step(state, jax.device_put(tiny.batch(number), split))
        for name in ("online/loss", "online/grad_norm", "online/embedding_std"):
            np.testing.assert_allclose(together[name], alone[number][name], rtol=1e-4)


@pytest.mark.parametrize("kind", METHODS)
def test_a_step_keeps_the_structure_of_the_state(first_steps, kind):
    _, states, _ = first_steps(kind)
    before, after = (jax.tree.map(lambda x: (x.shape, x.dtype), s) for s in (states[0], states[3]))
    assert before == after
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), states[0].params, states[3].params)
    assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize("kind", METHODS)
def test_the_features_of_the_first_view_are_carried(tiny, first_steps, kind):
    method, states, _ = first_steps(kind)
    one, two = tiny.views()
    carry = jax.eval_shape(
        lambda s: method.loss(s.params["online"], Turn(s, (one, two), s.key))[1].carry, states[0]
    )
    assert carry["features"].shape == (16, 16)
    assert carry["features"].dtype == jnp.float32


@pytest.mark.parametrize("kind", [moco.MoCo, moco_v3.MoCoV3, byol.BYOL, nnclr.NNCLR])
def test_no_gradient_reaches_the_targets(tiny, first_steps, kind):
    method, states, _ = first_steps(kind)
    state = states[1]
    targets = {name: x for name, x in state.memory.items() if name in ("target", "queue")}
    assert targets

    def value(targets):
        other = state.replace(memory=state.memory | targets)
        return method.loss(state.params["online"], Turn(other, tiny.views(), state.key))[0]

    gradients = tiny.jit(jax.grad(value))(targets)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("kind", METHODS)
def test_embeddings_of_an_untrained_network_are_spread_over_the_sphere(first_steps, kind):
    _, _, metrics = first_steps(kind)
    # Sixteen dimensions: at most 1/4; a collapsed network has 0.
    assert 0.025 < float(metrics[0]["online/embedding_std"]) <= 0.25 + 1e-6
    assert float(metrics[0]["online/collapsed"]) == 0.0
    assert 1.5 < float(metrics[0]["online/effective_rank"]) < 15.0


@pytest.mark.parametrize("kind", METHODS)
def test_a_network_to_which_all_images_are_alike_is_told_as_collapsed(tiny, first_steps, kind):
    method, states, _ = first_steps(kind)
    views = [jnp.broadcast_to(view[:1], view.shape) for view in tiny.views()]
    _, aux = tiny.loss(method, states[0], tuple(views))
    assert float(aux.metrics["collapsed"]) == 1.0
    assert float(aux.metrics["embedding_std"]) < 1e-3
    assert float(aux.metrics["effective_rank"]) == pytest.approx(1.0, abs=1e-3)


def test_views_passed_one_by_one_have_their_own_statistics(tiny, first_steps, close):
    method, states, _ = first_steps(vicreg.VICReg)
    params, variables = states[0].params["online"], states[0].variables["online"]
    one, two = tiny.views()
    (first, second), after = passes.forward_each(method.network, params, variables, (one, two))
    alone1, after1 = tiny.outputs(method.network, params, variables, one)
    alone2, after2 = tiny.outputs(method.network, params, variables, two)
    close(first, alone1, rtol=1e-4, atol=1e-5)
    close(second, alone2, rtol=1e-4, atol=1e-5)
    # Running statistics keep 0.9 of the old: s' = 0.9 s + 0.1 m, first for one view, then for two.
    close(after, jax.tree.map(lambda s, a, b: 0.9 * (a - s) + b, variables, after1, after2))
    joint, _ = tiny.joint_outputs(method.network, params, variables, (one, two))
    assert not np.allclose(joint["projection"], alone1["projection"], atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "output"), [(byol.BYOL, "projection"), (simsiam.SimSiam, "prediction")]
)
def test_embedding_std_is_that_of_the_first_views_directions(tiny, first_steps, unit, kind, output):
    method, states, _ = first_steps(kind)
    state, views = states[0], tiny.views()
    _, aux = tiny.loss(method, state, views)
    outputs, _ = tiny.outputs(
        method.network, state.params["online"], state.variables["online"], views[0]
    )
    expected = np.mean(np.std(unit(outputs[output]), axis=0))
    np.testing.assert_allclose(aux.metrics["embedding_std"], expected, rtol=1e-4)


@pytest.mark.parametrize("name", CONFIGS + VARIANTS)
def test_every_config_makes_a_state(name):
    config = config_file.load(name)
    configs.check(config)
    assert config.method.name == name.split("/")[0]
    # The encoder's size is of no account here, and takes most of the time.
    config.model.encoder.widths, config.model.encoder.convs_per_stage = (8,), 1
    transformer = config.model.encoder.name.startswith("vit")
    config.model.encoder.name = "vit_mini" if transformer else "small"
    if transformer:
        config.model.encoder.heads = 2
    task = Task(
        image_shape=(config.data.image_size, config.data.image_size, config.data.channels),
        batch_size=config.batch_size,
        total_steps=int(config.epochs) * 100,
        steps_per_epoch=100,
        num_images=100 * config.batch_size,
    )
    method = methods.build(config, task)
    state = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))
    assert set(state.params) == {"online"}
    size = method.image_shape[0]
    assert size == {"fashion_mnist": 28, "cifar10": 32, "imagenet2012": 224}[config.data.name]
