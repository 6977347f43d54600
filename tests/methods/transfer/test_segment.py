"""Segmentation: what is learnt of masks, at which rates, and from what it may start."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.augment import ViewPolicy
from ssljax.methods.joint_embedding.simclr import SimCLR
from ssljax.methods.protocols import Segmenter
from ssljax.methods.transfer.segment import Segment
from ssljax.run.step import make_step

SIDE, CLASSES = 16, 3


@pytest.fixture(scope="module")
def build(tiny):
    def make(head="linear", source=None, optimizer=(), data=(), **changes):
        changes = dict(scales=(1.0,), sizes=(), train_norms=True) | changes
        config = tiny.config(Segment, **changes)
        config.model.encoder.output_stride = 2
        config.model.head = {"name": head, "rates": (1, 2), "dtype": "float32"}
        config.method.view.update(dataclasses.asdict(ViewPolicy(SIDE, crop_scale=None)))
        config.optimizer.update(**{"learning_rate": 0.1, "schedule": "constant"} | dict(optimizer))
        config.data.update(dict(data))
        task = dataclasses.replace(
            tiny.task, image_shape=(SIDE, SIDE, 1), num_classes=None, source=source
        )
        return Segment(config, task)

    return make


def batch(seed=0):
    """Squares whose brightness is their class; the first row is void."""
    rng = np.random.default_rng(seed)
    masks = np.kron(rng.integers(0, CLASSES, (16, 1, 4, 4)), np.ones((1, 1, 4, 4), int))
    images = (100 * masks + rng.integers(0, 30, masks.shape)).astype(np.uint8)[..., None]
    masks[:, :, 0] = -1
    return {"images": {"image": jnp.asarray(images), "mask": jnp.asarray(masks, jnp.int32)}}


def weights(state):
    leaves = jax.tree_util.tree_leaves_with_path(state.params["online"])
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in leaves}


def cross_entropy(logits, masks):
    """The mean over known pixels, one by one in float64."""
    logits, masks = np.float64(logits).reshape(-1, CLASSES), np.asarray(masks).reshape(-1)
    logits, masks = logits[masks >= 0], masks[masks >= 0]
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return -np.mean(np.log(exp / exp.sum(axis=1, keepdims=True))[np.arange(len(masks)), masks])


def test_it_learns_to_tell_the_classes_of_pixels(tiny, build):
    method = build()
    assert isinstance(method, Segmenter)
    state, step = tiny.init(method), tiny.jit(make_step(method))
    metrics = []
    for number in range(40):
        state, found = step(state, batch(number))
        metrics.append({name: float(x) for name, x in found.items()})
    assert metrics[-1]["online/miou"] > 0.85 > metrics[0]["online/miou"]
    # The centre of no place lies in the row that is void.
    assert metrics[0]["online/labelled"] == 1.0
    test = jax.tree.map(lambda x: x[:, 0], batch(99))["images"]
    scores = np.asarray(method.segment(state, test["image"]))
    assert scores.shape == (16, SIDE, SIDE, CLASSES)
    known = np.asarray(test["mask"]) >= 0
    right = scores.argmax(axis=3) == np.asarray(test["mask"])
    assert right[known].mean() > 0.8


@pytest.mark.parametrize("loss_at", ["places", "pixels"])
def test_the_loss_is_the_sum_over_scales_of_that_of_known_pixels(tiny, build, loss_at):
    method = build(scales=(1.0, 0.5), loss_at=loss_at, train_norms=False, head="aspp")
    state = tiny.init(method)
    head = jax.tree.map(lambda x: 30 * x, state.params["online"]["head"])
    state = state.replace(params={"online": state.params["online"] | {"head": head}})
    raw = jax.tree.map(lambda x: x[:, 0], batch())
    views = method.views(jax.random.key(0), raw)
    value, aux = tiny.loss(method, state, views)
    outputs, _ = tiny.outputs(
        method.network, state.params["online"], state.variables["online"], views["image"]
    )
    expected, masks = 0.0, np.asarray(views["mask"])
    for name, places in (("/1", 8), ("/0.5", 4), ("", 8)):
        logits = np.asarray(outputs[f"pixel_logits{name}"])
        assert logits.shape == (16, places, places, CLASSES)
        if loss_at == "places":
            # The pixel under the centre of a place of 2 or 4 pixels is the one after it.
            first = SIDE // places // 2
            truth = masks[:, first :: SIDE // places, first :: SIDE // places]
        else:
            shape = (16, SIDE, SIDE, CLASSES)
            logits, truth = jax.image.resize(logits, shape, "linear"), masks
        expected += cross_entropy(logits, truth)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert set(aux.metrics) == {"miou", "class_accuracy", "pixel_accuracy", "labelled"}


def test_masks_go_where_their_images_go(build):
    for sizes in ((), (0.5, 1.0, 1.5)):
        method = build(sizes=sizes)
        raw = jax.tree.map(lambda x: x[:, 0], batch())["images"]
        raw = raw | {"image": (80 + 80 * jnp.maximum(raw["mask"], 0))[..., None].astype(jnp.uint8)}
        views = method.views(jax.random.key(1), {"images": raw})
        seen, masks = np.asarray(views["image"])[..., 0], np.asarray(views["mask"])
        if sizes:
            # What is scaled is mixed at the edges of squares.
            found = np.abs(seen - (80 + 80 * masks) / 255) < 0.01
            assert found[masks > 0].mean() > 0.5
        else:
            np.testing.assert_allclose(
                seen[masks >= 0], (80 + 80 * masks[masks >= 0]) / 255, atol=1e-6
            )
        assert (masks[:, 0] == -1).all() or sizes


def test_head_and_encoder_move_at_their_rates(tiny, build):
    settings = dict(name="sgd", momentum=0.0, learning_rate=0.01, weight_decay=0.0)
    states = {}
    for rates in ((1.0, 1.0), (10.0, 20.0)):
        method = build(head_rate=rates[0], head_bias_rate=rates[1], optimizer=settings)
        start = tiny.init(method)
        states[rates] = tiny.jit(make_step(method))(start, batch())[0]
    plain, faster, start = weights(states[1.0, 1.0]), weights(states[10.0, 20.0]), weights(start)
    for name, before in start.items():
        factor = 1 if name.startswith("encoder/") else 20 if name.endswith("bias") else 10
        step = np.asarray(plain[name] - before)
        assert np.abs(step).max() > 0, name
        np.testing.assert_allclose(
            np.asarray(faster[name] - before), factor * step, atol=1e-5 * factor, err_msg=name
        )


@pytest.mark.parametrize(
    ("trains", "norms", "fixed"),
    [(False, True, "encoder/"), (True, False, "norm")],
)
def test_what_is_frozen_stays_without_decay_and_statistics(tiny, build, trains, norms, fixed):
    method = build(
        train_encoder=trains,
        train_norms=norms,
        optimizer=dict(name="adamw", weight_decay=0.1, exclude=(), learning_rate=0.01),
    )
    start = tiny.init(method)
    end, _ = tiny.jit(make_step(method))(start, batch())
    before, after = weights(start), weights(end)
    for name, x in after.items():
        assert bool(np.any(x != before[name])) == (fixed not in name), name
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
        for a, b in zip(
            jax.tree.leaves(own["encoder"]), jax.tree.leaves(given["encoder"]), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    assert jax.tree.structure(state) == jax.tree.structure(untrained)
    images = jax.tree.map(lambda x: x[:, 0], batch())["images"]["image"]
    found = method.features(state, images)
    assert found["stage2"].shape == (16, 8, 8, 16)
    whole = jnp.asarray(images, jnp.float32) / 255
    outputs = method.network.encoder.apply(
        {"params": states[-1].params["online"]["encoder"]}
        | {name: x["encoder"] for name, x in states[-1].variables["online"].items()},
        whole,
        False,
    )
    np.testing.assert_allclose(found["features"], outputs["features"], rtol=1e-4, atol=1e-5)
    narrow = states[-1].params["online"] | {"encoder": {}}
    with pytest.raises(ValueError, match=r"absent there .*model.encoder must be of the same form"):
        method.start_from(untrained, source, states[-1].replace(params={"online": narrow}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(data=dict(mask_classes=0)), "data.mask_classes is 0: say how many"),
        (dict(data=dict(mask_classes=256)), "data.mask_classes is 256.*from 1 to 255"),
        (dict(data=dict(void=256)), "data.void is 256: it must be the byte"),
        (dict(loss_at="images"), "method.loss_at is 'images'"),
    ],
)
def test_what_does_not_fit_is_told(build, changes, told):
    with pytest.raises(ValueError, match=told):
        build(**changes)
