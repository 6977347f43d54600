"""Every loss on one device and on eight, in the four ways that JAX has of using them.

The rows pass through a matrix that all devices share, as through a network: its gradient is what a
step would use.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax import losses, metrics

BATCH, DIM, QUEUE = 32, 8, 64
ROWS, WHOLE = PartitionSpec("data"), PartitionSpec()
PLACES = (WHOLE, ROWS, ROWS, ROWS, WHOLE)
"""Where the shared matrix, the two views' rows, their labels and the queue lie."""


def _images(rows: jax.Array) -> jax.Array:
    return rows[:, :4].reshape(-1, 2, 2, 1)


def _critic(rows: jax.Array) -> jax.Array:
    return jnp.sum(jnp.sin(3 * rows), axis=1)


def _swav(a, b, queue, axis):
    codes = [losses.sinkhorn_knopp(x, 0.5, 3, queue, axis_name=axis) for x in (a, b)]
    return losses.swapped_prediction([a, b], codes)


def _dinov2(a, b, labels, axis):
    codes = losses.sinkhorn_knopp(a, 0.5, 3, axis_name=axis, present=labels > 2)
    return losses.masked_patch_entropy(codes[:, None], b[:, None], labels[:, None] > 2)


def _rotation(a, b):
    outputs = losses.with_rotations(_images(a)).reshape(-1, 4)
    logits = losses.in_four_orientations(outputs)
    return losses.rotation_loss(logits) + jnp.mean(losses.upright_only(outputs))


def _some(labels: jax.Array) -> jax.Array:
    """Some devices have many, some none."""
    return jnp.where(labels < 3, -1, labels)


def _draws(labels: jax.Array) -> jax.Array:
    """Numbers without an order for every row and candidate."""
    steps = jnp.arange(4.0 * BATCH).reshape(1, BATCH, 2, 2)
    rates = 1.0 + labels.astype(jnp.float32)
    return jnp.sin(steps * rates.reshape(-1, 1, 1, 1))


def _mae(a, b, labels, axis):
    target, hidden = b.reshape(-1, 2, 4), labels[:, None] > jnp.array([[2, 5]])
    prediction = a.reshape(-1, 2, 4)
    squares = losses.masked_patch_mse(prediction, target, hidden, axis_name=axis)
    return squares + losses.masked_patch_l1(prediction, target, hidden, axis_name=axis)


def _predictive_coding(a, b, axis):
    there = b.reshape(-1, 4, 1, 2)
    said = a.reshape(-1, 4, 1, 2)
    near = losses.predictive_coding(said[:, :3], there, 1, axis_name=axis)
    return near + losses.predictive_coding(said[:, :1], there, 3, axis_name=axis)


def _colors(a, b, labels, axis):
    mask, shape = labels > 1, (-1, 2, 4)  # Some devices have no image that counts.
    shares = jax.nn.softmax(b.reshape(shape))
    classes = losses.color_classification(a.reshape(shape), shares, jnp.abs(b[:, :4]), mask, axis)
    return classes + losses.color_regression(a.reshape(shape), b.reshape(shape), mask, axis)


def _detection(a, b, labels, axis):
    kinds, logits = _some(labels)[:, None], a[:, None, :4]
    said, true = (
        jnp.concatenate([x[:, :2], x[:, :2] + jnp.exp(x[:, 2:4])], axis=1)[:, None] for x in (a, b)
    )
    central = jnp.where(kinds >= 0, jax.nn.sigmoid(b[:, 4:5]), 0.0)
    classes = losses.focal_loss(logits, jnp.minimum(kinds, 3), axis_name=axis)
    boxes = losses.giou_loss(said, true, central, axis_name=axis)
    return classes + boxes + losses.center_ness_loss(a[:, 5:6], central, kinds >= 0, axis)


def _adversarial(a, b):
    energies = losses.reconstruction_energy(a, b)
    total = losses.ebgan_discriminator(energies, energies, 1.0) + losses.ebgan_generator(energies)
    total += losses.sgan_unsupervised(a, b) + losses.sgan_generator(b) + losses.score_drift(a)
    total += losses.zero_centered_penalty(_critic, a) + _rotation(a, b)
    for loss in losses.GAN_LOSSES.values():
        total += loss.discriminator(a, b) + loss.generator(b)
    return total


def _inference(a, b):
    total = losses.bigan_discriminator(a[:, 0], b[:, 0])
    total += losses.bigan_encoder_generator(a[:, 1], b[:, 1])
    total += losses.bigbigan_discriminator(a[:, :3], b[:, :3])
    return total + losses.bigbigan_encoder_generator(a[:, 3:6], b[:, 3:6])


GLOBAL: dict[str, Callable[..., Any]] = {
    "nt_xent": lambda a, b, labels, queue, axis: losses.nt_xent(a, b, axis_name=axis),
    "dcl": lambda a, b, labels, queue, axis: losses.dcl(a, b, axis_name=axis),
    "dclw": lambda a, b, labels, queue, axis: losses.dclw(a, b, axis_name=axis),
    "moco_v3": lambda a, b, labels, queue, axis: losses.info_nce_batch(a, b, axis_name=axis),
    "nnclr": lambda a, b, labels, queue, axis: losses.nnclr(
        losses.nearest_neighbors(a, queue), b, axis_name=axis
    ),
    "koleo": lambda a, b, labels, queue, axis: losses.koleo(a, axis_name=axis),
    "barlow_twins": lambda a, b, labels, queue, axis: losses.barlow_twins(a, b, axis_name=axis),
    "vicreg": lambda a, b, labels, queue, axis: losses.vicreg(a, b, axis_name=axis),
    "deep_cluster": lambda a, b, labels, queue, axis: losses.deep_cluster(
        [a, b], _some(labels), axis_name=axis
    ),
    "mae": lambda a, b, labels, queue, axis: _mae(a, b, labels, axis),
    "lejepa": lambda a, b, labels, queue, axis: losses.sigreg(
        a, jax.random.key(0), slices=6, axis_name=axis
    ),
    "ijepa": lambda a, b, labels, queue, axis: losses.latent_smooth_l1(
        a, b, labels > 1, axis_name=axis
    ),
    "predictive_coding": lambda a, b, labels, queue, axis: _predictive_coding(a, b, axis),
    "colors": lambda a, b, labels, queue, axis: _colors(a, b, labels, axis),
    "detection": lambda a, b, labels, queue, axis: _detection(a, b, labels, axis),
    "triplet": lambda a, b, labels, queue, axis: losses.semi_hard_triplet(
        jnp.stack([a, b, a + 0.1 * b], axis=1), axis_name=axis
    ),
    "siamese_triplet": lambda a, b, labels, queue, axis: losses.siamese_triplet(
        jnp.stack([a, b], axis=1), _draws(labels), _some(labels), 1.0, hard=2, axis_name=axis
    ),
    "sgan": lambda a, b, labels, queue, axis: losses.sgan_supervised(
        a, _some(labels), axis_name=axis
    ),
    "multi_label": lambda a, b, labels, queue, axis: losses.multi_label_cross_entropy(
        a, jnp.sign(labels[:, None] - jnp.arange(2, DIM + 2)[None]), axis_name=axis
    ),
    "pulling_away": lambda a, b, labels, queue, axis: losses.pulling_away(a, axis_name=axis),
    "discogan": lambda a, b, labels, queue, axis: losses.discogan_generator(
        a[:, 0], [a, b[:, :4]], [b, a[:, :4]], jnp.mean(jnp.square(a - b)), 0.3, axis_name=axis
    ),
    "feature_matching": lambda a, b, labels, queue, axis: losses.feature_matching(
        a, b, axis_name=axis
    ),
    "wasserstein_1d": lambda a, b, labels, queue, axis: losses.wasserstein_1d(
        a[:, 0], b[:, 0], 2.0, axis_name=axis
    ),
    "effective_rank": lambda a, b, labels, queue, axis: metrics.effective_rank(
        jnp.concatenate([a, b] * 4, axis=1), axis_name=axis
    ),
    "rankme": lambda a, b, labels, queue, axis: metrics.rankme(a, axis_name=axis),
}
"""Losses, and gauges that one may go up or down, whose terms meet across the batch."""

MEANS: dict[str, Callable[..., Any]] = {
    "bag_of_words": lambda a, b, labels, queue, axis: losses.bag_of_words(a, jax.nn.softmax(b)),
    "swav": lambda a, b, labels, queue, axis: _swav(a, b, queue, axis),
    "dinov2": lambda a, b, labels, queue, axis: _dinov2(a, b, labels, axis),
    "moco": lambda a, b, labels, queue, axis: losses.info_nce_queue(a, b, queue),
    "dino": lambda a, b, labels, queue, axis: losses.dino_loss([a, b], [b], queue[0]),
    "ibot": lambda a, b, labels, queue, axis: losses.masked_patch_entropy(
        jax.nn.softmax(a.reshape(-1, 2, 4)),
        b.reshape(-1, 2, 4),
        labels[:, None] > jnp.array([[2, 5]]),
    ),
    "mean_view": lambda a, b, labels, queue, axis: losses.mean_view_prediction([a, b, a + b]),
    "byol": lambda a, b, labels, queue, axis: losses.byol(a, b, a, b),
    "simsiam": lambda a, b, labels, queue, axis: losses.simsiam(a, b, a, b),
    "distillation": lambda a, b, labels, queue, axis: losses.labelled_distillation(
        a, b, _some(labels)
    ),
    "adversarial": lambda a, b, labels, queue, axis: _adversarial(a, b),
    "inference": lambda a, b, labels, queue, axis: _inference(a, b),
    "counting": lambda a, b, labels, queue, axis: losses.counting_loss(
        a, jnp.stack([b, a], axis=1), jnp.tanh(b)
    ),
    "copied_colors": lambda a, b, labels, queue, axis: losses.copied_color_cross_entropy(
        *(x.reshape(-1, 4, 2) for x in (a, b)),
        *(jax.nn.softmax(x.reshape(-1, 4, 2)) for x in (a, b)),
    ),
    "pixel_absolute_error": lambda a, b, labels, queue, axis: losses.pixel_absolute_error(
        _images(a), _images(b)
    ),
    "transformation": lambda a, b, labels, queue, axis: losses.transformation_error(a, b),
}
"""Losses that are means over rows."""

OTHERS: dict[str, Callable[..., Any]] = {
    "collapse_metrics": lambda a, b, labels, queue, axis: metrics.collapse_metrics(
        a, b, axis_name=axis
    ),
    "generator_collapsed": lambda a, b, labels, queue, axis: metrics.generator_collapsed(
        _images(a), _images(b), axis_name=axis
    ),
    "update_center": lambda a, b, labels, queue, axis: losses.update_center(
        queue[0], [a, b], axis_name=axis
    ),
    "enqueue": lambda a, b, labels, queue, axis: losses.enqueue(
        queue, jnp.int32(BATCH), a, axis_name=axis
    ),
    "spherical_kmeans": lambda a, b, labels, queue, axis: losses.spherical_kmeans(
        a, queue[:3], 2, labels > 1, axis_name=axis
    )[0],
}
"""Gauges, and what a method carries from step to step: what a loss gives beside its value."""


def _program(axis: str | None) -> Callable[..., Any]:
    """Values of all functions, and the gradients by the shared matrix of those that have one."""

    def averaged(tree: Any) -> Any:
        return tree if axis is None else jax.lax.pmean(tree, axis)

    def program(w, a, b, labels, queue):
        found = {}
        for name, loss in (GLOBAL | MEANS).items():

            def of_matrix(w, loss=loss, name=name):
                value = loss(a @ w, b @ w, labels, queue, axis)
                return averaged(value) if name in MEANS else value

            value, gradient = jax.value_and_grad(of_matrix)(w)
            found[name] = value, averaged(gradient)

        def with_others(w):
            rows = a @ w, b @ w, labels, queue, axis
            others = {name: function(*rows) for name, function in OTHERS.items()}
            return averaged(jnp.mean(rows[0])), others

        others = jax.value_and_grad(with_others, has_aux=True)(w)[0][1]
        return found | others

    return program


def _arguments() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(BATCH, DIM))
    return [
        (np.eye(DIM) + 0.3 * rng.normal(size=(DIM, DIM))).astype(np.float32),
        (rows + rng.normal(size=rows.shape)).astype(np.float32),
        (rows + rng.normal(size=rows.shape)).astype(np.float32),
        np.sort(rng.integers(0, DIM, BATCH)).astype(np.int32),
        rng.normal(size=(QUEUE, DIM)).astype(np.float32),
    ]


def _under_jit(kind: AxisType) -> Any:
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    places = [NamedSharding(mesh, place) for place in PLACES]
    return jax.jit(_program(None))(*map(jax.device_put, _arguments(), places))


def _in_shard_map() -> Any:
    mesh = jax.make_mesh((8,), ("data",))
    mapped = jax.shard_map(_program("data"), mesh=mesh, in_specs=PLACES, out_specs=WHOLE)
    places = [NamedSharding(mesh, place) for place in PLACES]
    return jax.jit(mapped)(*map(jax.device_put, _arguments(), places))


def _in_pmap() -> Any:
    axes = tuple(0 if place == ROWS else None for place in PLACES)
    arguments = [
        x.reshape(8, -1, *x.shape[1:]) if axis == 0 else x
        for x, axis in zip(_arguments(), axes, strict=True)
    ]
    mapped = jax.pmap(_program("data"), axis_name="data", in_axes=axes)
    found = jax.device_get(mapped(*arguments))
    jax.tree.map(lambda x: np.testing.assert_array_equal(x, np.broadcast_to(x[:1], x.shape)), found)
    return jax.tree.map(lambda x: x[0], found)


WAYS = {
    "one device": lambda: jax.jit(_program(None))(*map(jnp.asarray, _arguments())),
    "auto": lambda: _under_jit(AxisType.Auto),
    "explicit": lambda: _under_jit(AxisType.Explicit),
    "shard_map": _in_shard_map,
    "pmap": _in_pmap,
}


@functools.cache
def results(way: str) -> Any:
    return jax.device_get(WAYS[way]())


@pytest.mark.parametrize("way", ["auto", "explicit", "shard_map", "pmap"])
@pytest.mark.parametrize("name", [*GLOBAL, *MEANS, *OTHERS])
def test_eight_devices_equal_one(name, way):
    expected, found = results("one device")[name], results(way)[name]
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, eight in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(eight, one, rtol=2e-5, atol=1e-5 * np.max(np.abs(one)))


def test_a_batch_may_lie_over_two_axes():
    mesh = jax.make_mesh((2, 4), ("host", "chip"))
    w, a, b, _, _ = _arguments()

    def inside(w, a, b):
        def loss(w):
            return losses.nt_xent(a @ w, b @ w, axis_name=("host", "chip"))

        value, gradient = jax.value_and_grad(loss)(w)
        return value, jax.lax.pmean(gradient, ("host", "chip"))

    rows = PartitionSpec(("host", "chip"))
    mapped = jax.shard_map(inside, mesh=mesh, in_specs=(WHOLE, rows, rows), out_specs=WHOLE)
    places = [NamedSharding(mesh, place) for place in (WHOLE, rows, rows)]
    value, gradient = jax.jit(mapped)(*map(jax.device_put, (w, a, b), places))
    expected = results("one device")["nt_xent"]
    np.testing.assert_allclose(value, expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-6)


def test_without_the_axis_only_one_devices_images_are_negatives():
    _, a, b, _, _ = map(jnp.asarray, _arguments())
    parts = [x.reshape(8, -1, DIM) for x in (a, b)]
    local = jax.vmap(lambda a, b: losses.nt_xent(a, b), axis_name="data")(*parts)
    for i, value in enumerate(local):
        np.testing.assert_allclose(value, losses.nt_xent(parts[0][i], parts[1][i]), rtol=1e-5)
    assert losses.nt_xent(a, b) > 1 + jnp.max(local)
