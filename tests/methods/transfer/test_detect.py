"""Detection: what is learnt of boxes, what is found, and from what it may start."""

import dataclasses

import boxed
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import models
from ssljax.augment import ViewPolicy
from ssljax.methods.joint_embedding.simclr import SimCLR
from ssljax.methods.protocols import Detector
from ssljax.methods.transfer.detect import Detect
from ssljax.ops.boxes import pairwise_iou
from ssljax.run.step import make_step

SIDE, COUNT = 32, 4


@pytest.fixture(scope="module")
def build(tiny):
    def make(source=None, optimizer=(), data=(), pyramid=(), encoder=(), **changes):
        defaults = dict(
            train_norms=True, bias_rate=1.0, ranges=(12.0,), max_detections=8, candidates=40
        )
        config = tiny.config(Detect, **defaults | changes)
        config.model.encoder.update(dict(stem_stride=2) | dict(encoder))
        config.model.pyramid = ConfigDict(
            {"name": "fpn", "channels": 8, "finest": 4, "levels": 2, "dtype": "float32"}
            | dict(pyramid)
        )
        config.model.head = ConfigDict(
            {"name": "fcos", "convs": 1, "groups": 2, "dtype": "float32"}
        )
        config.method.view.update(dataclasses.asdict(ViewPolicy(SIDE, crop_scale=None)))
        config.optimizer.update({"name": "adamw", "learning_rate": 0.01, "schedule": "constant"})
        config.optimizer.update(dict(optimizer))
        config.data.update({"box_classes": boxed.CLASSES} | dict(data))
        task = dataclasses.replace(
            tiny.task, image_shape=(SIDE, SIDE, 1), num_classes=None, source=source
        )
        return Detect(config, task)

    return make


def batch(seed=0):
    """Bright and dark rectangles on grey, with an axis for the updates."""
    rng = np.random.default_rng(seed)
    images = np.zeros((16, SIDE, SIDE, 1), np.uint8)
    boxes = np.full((16, COUNT, 5), -1, np.float32)
    for image, rows in zip(images, boxes, strict=True):
        drawing, found, classes = boxed.drawn(rng, SIDE, SIDE)
        image[:] = drawing[..., :1]
        rows[: len(found)] = np.concatenate([found, classes[:, None]], axis=1)
    return {"images": {"image": jnp.asarray(images[:, None]), "boxes": jnp.asarray(boxes[:, None])}}


def raw(seed=0):
    return jax.tree.map(lambda x: x[:, 0], batch(seed))


def weights(state):
    leaves = jax.tree_util.tree_leaves_with_path(state.params["online"])
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in leaves}


def test_it_learns_to_find_things(tiny, build):
    method = build()
    assert isinstance(method, Detector)
    state, step = tiny.init(method), jax.jit(make_step(method))
    curve = []
    for number in range(70):
        state, found = step(state, batch(number))
        curve.append({name: float(x) for name, x in found.items()})
    overlap = np.mean([found["online/iou"] for found in curve[-5:]])
    assert overlap > 0.6 > curve[0]["online/iou"]
    assert curve[-1]["online/loss"] < 0.7 * curve[0]["online/loss"]
    test = raw(999)["images"]
    objects = np.asarray(jax.jit(method.detect)(state, test["image"]))
    assert objects.shape == (16, 8, 6)
    hits = 0
    for rows, things in zip(objects, np.asarray(test["boxes"]), strict=True):
        real = rows[:, 4] >= 0
        assert (rows[~real] == -1).all()
        assert not real[np.argmin(real) :].any() or real.all()
        scores = rows[real, 5]
        assert (np.diff(scores) <= 0).all()
        assert ((scores > 0) & (scores < 1)).all()
        assert (rows[real, :4] >= 0).all()
        assert (rows[real, :4] <= SIDE).all()
        things = things[things[:, 4] >= 0]
        overlaps = np.asarray(pairwise_iou(jnp.asarray(things[:, :4]), jnp.asarray(rows[:, :4])))
        right = (overlaps > 0.5) & (things[:, None, 4] == rows[None, :, 4]) & (rows[:, 5] > 0.2)
        hits += right.any(axis=1).sum()
        for kind in range(boxed.CLASSES):
            mine = jnp.asarray(rows[real & (rows[:, 4] == kind), :4])
            apart = np.asarray(pairwise_iou(mine, mine)) - np.eye(len(mine))
            assert (apart <= 0.6 + 1e-5).all()
    assert hits / (np.asarray(test["boxes"])[..., 4] >= 0).sum() > 0.5


def test_the_loss_is_that_of_a_loop_over_places(tiny, build):
    method = build()
    state = tiny.init(method)
    head = jax.tree.map(lambda x: 3 * x, state.params["online"]["head"])
    state = state.replace(params={"online": state.params["online"] | {"head": head}})
    views = method.views(jax.random.key(0), raw())
    value, aux = tiny.loss(method, state, views)
    outputs, _ = tiny.outputs(
        method.network, state.params["online"], state.variables["online"], views["image"]
    )
    told = models.told_by(outputs, SIDE)
    logits, distances, centre = (np.float64(x) for x in told[:3])
    focal, box_terms, weights_, entropies, count = 0.0, 0.0, 0.0, 0.0, 0
    for image, things in enumerate(np.float64(views["boxes"])):
        for k, (y, x) in enumerate(np.float64(told.places)):
            low, high = ((-1, 12), (12, np.inf))[told.levels[k]]
            best, area = None, np.inf
            for top, left, bottom, right, kind in things:
                sides = np.array([y - top, x - left, bottom - y, right - x])
                near = max(abs(y - (top + bottom) / 2), abs(x - (left + right) / 2))
                size = (bottom - top) * (right - left)
                fits = sides.min() > 0 and low <= sides.max() <= high
                if kind >= 0 and fits and near < 1.5 * told.strides[k] and size < area:
                    best, area = (sides, int(kind), np.array([top, left, bottom, right])), size
            p = 1 / (1 + np.exp(-logits[image, k]))
            yes = np.arange(2) == (-1 if best is None else best[1])
            focal -= np.sum(np.where(yes, 0.25 * (1 - p) ** 2 * np.log(p), 0))
            focal -= np.sum(np.where(yes, 0, 0.75 * p**2 * np.log(1 - p)))
            if best is None:
                continue
            count += 1
            sides, _, true = best
            central = np.sqrt(
                min(sides[0], sides[2]) / max(sides[0], sides[2])
                * min(sides[1], sides[3]) / max(sides[1], sides[3])
            )  # fmt: skip
            d = distances[image, k]
            said = np.array([y - d[0], x - d[1], y + d[2], x + d[3]])
            inner = np.minimum(said[2:], true[2:]) - np.maximum(said[:2], true[:2])
            outer = np.maximum(said[2:], true[2:]) - np.minimum(said[:2], true[:2])
            both = np.prod(np.maximum(inner, 0))
            union = np.prod(said[2:] - said[:2]) + area - both
            giou = both / union - (np.prod(outer) - union) / np.prod(outer)
            box_terms += central * (1 - giou)
            weights_ += central
            q = 1 / (1 + np.exp(-centre[image, k]))
            entropies -= central * np.log(q) + (1 - central) * np.log(1 - q)
    expected = {
        "class_loss": focal / count,
        "box_loss": box_terms / weights_,
        "center_ness_loss": entropies / count,
        "positives": count / 16,
    }
    for name, wanted in expected.items():
        np.testing.assert_allclose(aux.metrics[name], wanted, rtol=1e-4, err_msg=name)
    assert value == pytest.approx(sum(list(expected.values())[:3]), rel=1e-4)
    assert set(aux.metrics) == {*expected, "iou"}


@pytest.mark.parametrize("sizes", [(), (0.75, 1.0, 1.5)])
def test_boxes_go_where_their_things_go(build, sizes):
    method = build(sizes=sizes)
    views = method.views(jax.random.key(1), raw())
    seen, boxes = np.asarray(views["image"])[..., 0], np.asarray(views["boxes"])
    met = 0
    for image, rows in zip(seen, boxes, strict=True):
        for top, left, bottom, right, kind in rows[rows[:, 4] >= 0]:
            inside = image[round(top) + 1 : round(bottom) - 1, round(left) + 1 : round(right) - 1]
            if inside.size:
                met += 1
                assert ((inside > 0.8) if kind == 1 else (inside < 0.2)).all()
    assert met > 10
    assert not np.array_equal(boxes, raw()["images"]["boxes"])


@pytest.mark.parametrize(("trains", "norms"), [(True, True), (True, False), (False, True)])
def test_parameters_move_at_their_rates_or_not_at_all(build, trains, norms):
    settings = dict(name="sgd", momentum=0.0, learning_rate=0.01, weight_decay=0.1, exclude=())
    method = build(bias_rate=2.0, train_encoder=trains, train_norms=norms, optimizer=settings)
    shapes = jax.eval_shape(lambda: method.init(jax.random.key(0)))[0]["online"]
    ones = jax.tree.map(lambda x: jnp.ones(x.shape), shapes)
    tx = method.players[0].tx
    updates, _ = tx.update(ones, tx.init(ones), ones, step=jnp.int32(0))
    for path, x in jax.tree_util.tree_leaves_with_path(updates):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        factor = 2.0 if name.endswith("/bias") else 1.0
        if name.startswith("encoder/"):
            factor = float(trains and (norms or "norm" not in name))
        np.testing.assert_allclose(x, -0.011 * factor, rtol=1e-5, err_msg=name)


def test_a_frozen_encoder_stays_with_its_statistics(tiny, build):
    method = build(train_encoder=False)
    start = tiny.init(method)
    end, _ = tiny.jit(make_step(method))(start, batch())
    before, after = weights(start), weights(end)
    for name, x in after.items():
        assert bool(np.any(x != before[name])) != name.startswith("encoder/"), name
    for a, b in zip(jax.tree.leaves(end.variables), jax.tree.leaves(start.variables), strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_starts_from_the_encoder_of_any_run(tiny, build, first_steps):
    source, states, _ = first_steps(SimCLR)
    method = build(source=source)
    untrained = tiny.init(method)
    state = method.start_from(untrained, source, states[-1])
    for part in ("params", "variables"):
        own, given = getattr(state, part)["online"], getattr(states[-1], part)["online"]
        own = own if part == "params" else own["batch_stats"]
        given = given if part == "params" else given["batch_stats"]
        pairs = zip(jax.tree.leaves(own["encoder"]), jax.tree.leaves(given["encoder"]), strict=True)
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)
    assert jax.tree.structure(state) == jax.tree.structure(untrained)
    assert set(state.params["online"]) == {"encoder", "pyramid", "head"}
    narrow = states[-1].params["online"] | {"encoder": {}}
    with pytest.raises(ValueError, match=r"absent there .* use that run's config.model.encoder"):
        method.start_from(untrained, source, states[-1].replace(params={"online": narrow}))


def test_an_image_without_boxes_teaches_that_nothing_is_there(tiny, build):
    method = build()
    state = tiny.init(method)
    views = method.views(jax.random.key(0), raw())
    value, aux = tiny.loss(method, state, views | {"boxes": jnp.full((16, COUNT, 5), -1.0)})
    assert value == pytest.approx(float(aux.metrics["class_loss"]))
    assert {float(aux.metrics[name]) for name in ("box_loss", "center_ness_loss", "iou")} == {0.0}
    assert value > 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(data=dict(box_classes=0)), "data.box_classes is 0: say how many"),
        (dict(ranges=(12.0, 24.0)), r"method.ranges is \(12.0, 24.0\) and the pyramid has 2 maps"),
        (
            dict(ranges=(24.0, 12.0), pyramid=dict(levels=3)),
            "give 2 distances in pixels, each larger",
        ),
        (dict(pyramid=dict(finest=16)), "lower config.model.pyramid.finest"),
    ],
)
def test_what_does_not_fit_is_told(build, changes, told):
    with pytest.raises(ValueError, match=told):
        jax.eval_shape(build(**changes).init, jax.random.key(0))
