"""What every joint-embedding loss must hold, whatever its formula.

One device and eight give the same value and gradient; the order of the batch does not matter;
bfloat16 inputs are computed in float32; what is not finite makes no finite value; the gradient is
the slope of the value; and nothing larger than the embeddings travels between devices.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from sharded import collective_sizes, on_eight_devices

from ssljax.losses.clustering import swapped_prediction
from ssljax.losses.decoupled import dcl, dclw
from ssljax.losses.deep_cluster import deep_cluster
from ssljax.losses.distillation import dino_loss, update_center
from ssljax.losses.koleo import koleo
from ssljax.losses.momentum_contrast import info_nce_batch, info_nce_queue
from ssljax.losses.nearest_neighbor import nearest_neighbors, nnclr
from ssljax.losses.reconstruction import masked_patch_mse
from ssljax.losses.redundancy import barlow_twins, vicreg
from ssljax.losses.regression import byol, normalized_std, simsiam
from ssljax.losses.soft_labels import labelled_distillation, soft_label_cross_entropy
from ssljax.losses.transport import sinkhorn_distance, wasserstein_1d
from ssljax.ops.queue import enqueue
from ssljax.ops.transport import sinkhorn_knopp

BATCH, DIM, QUEUE = 16, 12, 32


def _queue() -> jax.Array:
    return jax.random.normal(jax.random.key(7), (QUEUE, DIM))


def _moco(q: jax.Array, k: jax.Array) -> jax.Array:
    return info_nce_queue(q, k, _queue(), 0.2)


def _nnclr(z1: jax.Array, z2: jax.Array, p1: jax.Array, p2: jax.Array) -> jax.Array:
    first, second = nearest_neighbors(z1, _queue()), nearest_neighbors(z2, _queue())
    return (nnclr(first, p2) + nnclr(second, p1)) / 2


def _swav(scores: jax.Array, targets: jax.Array) -> jax.Array:
    codes = [sinkhorn_knopp(targets[view], 0.5, queue_scores=_queue()) for view in (0, 1)]
    return swapped_prediction(scores, codes, 0.5)


def _deep_cluster(scores: jax.Array, targets: jax.Array) -> jax.Array:
    return deep_cluster(scores, jnp.argmax(targets[0], axis=1) - 1, 0.5)


def _dino(student: jax.Array, teacher: jax.Array) -> jax.Array:
    # The centre after one update, so that it is covered too.
    center = update_center(jnp.zeros(DIM), teacher)
    return dino_loss(student, teacher, center, 0.5, 0.3)


def _mae(prediction: jax.Array, target: jax.Array) -> jax.Array:
    mask = jnp.arange(5)[None, :] < 2 + jnp.argmax(target[:, 0, :3], axis=1)[:, None]
    return masked_patch_mse(prediction, target, mask)


def _labelled_distillation(student: jax.Array, teacher: jax.Array) -> jax.Array:
    # A third of the images has no label.
    labels = jnp.where(teacher[:, 0] < -0.5, -1, jnp.argmin(teacher, axis=1))
    return labelled_distillation(student, teacher, labels, 2.0, 0.3)


def _sinkhorn_distance(cost: jax.Array) -> jax.Array:
    return sinkhorn_distance(cost, jnp.full(BATCH, 1 / BATCH), jnp.full(DIM, 1 / DIM), 0.5, 5)


def _wasserstein(x: jax.Array, y: jax.Array) -> jax.Array:
    return wasserstein_1d(x, y, 2.0)


@dataclass(frozen=True)
class Case:
    """A loss, its arguments and their batch axis, and the largest array that it may exchange.

    Of an argument that is `choices` the test makes classes: it has no value that is not finite.
    """

    loss: Callable[..., jax.Array]
    shapes: tuple[tuple[int, ...], ...]
    axis: int = 0
    learns: tuple[int, ...] = (0,)
    largest: int = BATCH * DIM
    choices: tuple[int, ...] = ()


FLAT = (BATCH, DIM)
CASES = {
    "moco": Case(_moco, (FLAT, FLAT), largest=1),
    "moco_v3": Case(info_nce_batch, (FLAT, FLAT)),
    "nnclr": Case(_nnclr, (FLAT,) * 4, learns=(2, 3)),
    "dcl": Case(dcl, (FLAT, FLAT), learns=(0, 1)),
    "dclw": Case(dclw, (FLAT, FLAT), learns=(0, 1)),
    "byol": Case(byol, (FLAT,) * 4, learns=(0, 1), largest=1),
    "simsiam": Case(simsiam, (FLAT,) * 4, learns=(0, 1), largest=1),
    "normalized_std": Case(normalized_std, (FLAT,), largest=DIM),
    "swav": Case(_swav, ((5, *FLAT), (2, *FLAT)), axis=1, largest=DIM),
    "deep_cluster": Case(
        _deep_cluster, ((5, *FLAT), (1, *FLAT)), axis=1, largest=DIM, choices=(1,)
    ),
    "dino": Case(_dino, ((5, *FLAT), (2, *FLAT)), axis=1, largest=DIM),
    "koleo": Case(koleo, (FLAT,)),
    "barlow_twins": Case(barlow_twins, (FLAT, FLAT), learns=(0, 1), largest=DIM * DIM),
    "vicreg": Case(vicreg, (FLAT, FLAT), learns=(0, 1), largest=DIM * DIM),
    "soft_labels": Case(soft_label_cross_entropy, (FLAT, FLAT), largest=1),
    "labelled_distillation": Case(_labelled_distillation, (FLAT, FLAT), largest=1),
    "sinkhorn_distance": Case(_sinkhorn_distance, (FLAT,), largest=DIM),
    "wasserstein_1d": Case(_wasserstein, ((BATCH,), (BATCH,)), learns=(0, 1), largest=BATCH),
    "mae": Case(_mae, ((BATCH, 5, DIM),) * 2, largest=1),
}


@functools.cache
def compiled(name: str) -> Callable[..., tuple[jax.Array, tuple[jax.Array, ...]]]:
    case = CASES[name]
    return jax.jit(jax.value_and_grad(case.loss, argnums=tuple(range(len(case.shapes)))))


def arguments(name: str) -> list[jax.Array]:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=CASES[name].shapes[0])
    return [
        jnp.asarray((shared if shared.shape == shape else 0) + rng.normal(size=shape), jnp.float32)
        for shape in CASES[name].shapes
    ]


@pytest.mark.parametrize("name", CASES)
def test_eight_devices_equal_one(name):
    one = arguments(name)
    step = compiled(name)
    value, gradients = step(*one)
    many = on_eight_devices(one, CASES[name].axis)
    program = step.lower(*many).compile()
    sharded_value, sharded_gradients = program(*many)
    np.testing.assert_allclose(sharded_value, value, rtol=1e-5)
    for sharded, whole in zip(sharded_gradients, gradients, strict=True):
        scale = np.max(np.abs(whole))
        np.testing.assert_allclose(sharded, whole, rtol=1e-5, atol=1e-5 * scale)
    sizes = collective_sizes(program.as_text())
    assert sizes, "a loss over a sharded batch needs a collective"
    assert max(sizes) <= CASES[name].largest


@pytest.mark.parametrize("name", CASES)
def test_order_of_the_batch_does_not_matter(name):
    inputs = arguments(name)
    value, gradients = compiled(name)(*inputs)
    order = np.random.default_rng(1).permutation(BATCH)
    axis = CASES[name].axis
    moved_value, moved_gradients = compiled(name)(*(jnp.take(x, order, axis) for x in inputs))
    np.testing.assert_allclose(moved_value, value, rtol=1e-5)
    for moved, gradient in zip(moved_gradients, gradients, strict=True):
        expected = np.take(np.asarray(gradient), order, axis)
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_the_slope_of_the_value(name):
    inputs = arguments(name)
    step, rng = compiled(name), np.random.default_rng(2)
    gradients = step(*inputs)[1]
    for index, gradient in enumerate(gradients):
        if index not in CASES[name].learns:
            assert not np.any(gradient)
            continue
        direction = rng.normal(size=gradient.shape)
        direction /= np.linalg.norm(direction)

        def along(step_size, index=index, direction=direction):
            moved = list(inputs)
            moved[index] = moved[index] + jnp.asarray(step_size * direction, jnp.float32)
            return float(step(*moved)[0])

        slope = (along(0.02) - along(-0.02)) / 0.04
        expected = np.vdot(gradient, direction)
        np.testing.assert_allclose(slope, expected, rtol=0.01, atol=1e-4 * abs(along(0.0)))


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_inputs_are_computed_in_float32(name):
    half = [x.astype(jnp.bfloat16) for x in arguments(name)]
    value, gradients = compiled(name)(*half)
    assert value.dtype == jnp.float32
    expected, _ = compiled(name)(*(x.astype(jnp.float32) for x in half))
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient.astype(jnp.float32)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", CASES)
def test_an_image_that_is_not_finite_makes_no_finite_loss(name, bad):
    inputs = arguments(name)
    for index in set(range(len(inputs))) - set(CASES[name].choices):
        place = (slice(None),) * CASES[name].axis + (3,)
        spoilt = [*inputs]
        spoilt[index] = inputs[index].at[place].set(bad)
        value = compiled(name)(*spoilt)[0]
        assert np.isnan(value) if np.isnan(bad) else not np.isfinite(value)


def test_queue_of_sharded_keys_is_that_of_one_device():
    keys = jnp.asarray(np.random.default_rng(0).normal(size=FLAT), jnp.float32)
    queue, pointer = jnp.zeros((QUEUE, DIM)), jnp.int32(BATCH)
    expected, _ = enqueue(queue, pointer, keys)
    step = jax.jit(enqueue)
    (sharded,) = on_eight_devices([keys], 0)
    replicated = NamedSharding(sharded.sharding.mesh, PartitionSpec())
    inputs = jax.device_put(queue, replicated), jax.device_put(pointer, replicated), sharded
    np.testing.assert_array_equal(step(*inputs)[0], expected)
    assert max(collective_sizes(step.lower(*inputs).compile().as_text())) <= BATCH * DIM
