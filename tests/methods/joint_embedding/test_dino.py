"""DINO: teacher, centre, head and schedules, against float64 and the authors' code in words."""

import dataclasses
import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from ssljax import losses, methods, models, optimizers
from ssljax.augment import ViewPolicy
from ssljax.config import file as config_file
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Task, TrainState, Turn
from ssljax.methods.joint_embedding.dino import DINO
from ssljax.run.step import init_state, make_step

BATCH, WIDTH, DIM, OUT, EPOCH, STEPS = 8, 8, 16, 12, 2, 8
TASK = Task(image_shape=(12, 12, 1), batch_size=BATCH, total_steps=STEPS, steps_per_epoch=EPOCH)
RATE, DECAY = 1e-2, 0.04


def tiny_config(optimizer=(), model=(), **changes):
    method = DINO.default_config()
    for name, size in (("view1", 12), ("view2", 12), ("local_view", 8)):
        policy = ViewPolicy(size, crop_scale=None)
        method[name] = ConfigDict(dataclasses.asdict(policy))
    method.update(out_dim=OUT, projector_hidden_dim=DIM, bottleneck_dim=DIM, local_crops=1)
    method.update(changes)
    settings = {"name": "adamw", "learning_rate": RATE, "weight_decay": DECAY} | dict(optimizer)
    return ConfigDict(
        {
            "method": method,
            "model": {
                "encoder": {"name": "small", "widths": (WIDTH,), "dtype": "float32"} | dict(model)
            },
            "optimizer": dataclasses.asdict(optimizers.Settings(**settings)),
        }
    )


class AtStart(NamedTuple):
    student: list
    teacher: list
    teacher_variables: dict
    loss: jax.Array
    aux: Aux
    student_gradient: dict
    teacher_gradient: dict


VIEWS = tuple(
    jax.random.uniform(jax.random.key(size), (BATCH, size, size, 1)) for size in (12, 12, 8)
)


def batch(seed):
    images = np.random.default_rng(seed).integers(0, 256, (BATCH, 1, 12, 12, 1), dtype=np.uint8)
    return {"images": {"image": jnp.asarray(images)}}


@pytest.fixture(scope="module")
def method():
    return DINO(tiny_config(), TASK)


@pytest.fixture(scope="module")
def untrained(method):
    """Untrained states by their key's seed."""
    init = jax.jit(functools.partial(init_state, method))
    return lambda seed: init(jax.random.key(seed))


@pytest.fixture(scope="module")
def start(untrained):
    """An untrained state whose teacher and centre differ from the student and from zero."""
    state, other = untrained(0), untrained(7)
    center = jax.random.uniform(jax.random.key(3), (OUT,)) / 10
    memory = {
        "teacher": other.params["online"],
        "teacher_variables": jax.tree.map(lambda x: x + 1, state.memory["teacher_variables"]),
        "center": center,
    }
    assert set(memory) == set(state.memory)
    return state.replace(memory=memory)


@pytest.fixture(scope="module")
def run(method, start):
    """The states before and after each of four steps, and the metrics of each."""
    step = jax.jit(make_step(method)).lower(start, batch(0)).compile()
    states, metrics = [start], []
    for number in range(4):
        state, values = step(states[-1], batch(number))
        states.append(state)
        metrics.append(values)
    return states, metrics


@pytest.fixture(scope="module")
def at_start(method, start):
    """What student and teacher make of some views; the loss, and its gradient for either."""

    def loss(params, teacher, views):
        state = start.replace(memory=start.memory | {"teacher": teacher})
        return method.loss(params, Turn(state, views, jax.random.key(0)))

    @jax.jit
    def compute(params, memory):
        views = VIEWS
        student, _ = passes.forward_crops(method.network, params, start.variables["online"], views)
        teacher, variables = passes.forward_crops(
            method.teacher, memory["teacher"], memory["teacher_variables"], views[:2]
        )
        gradient = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        (value, aux), grads = gradient(params, memory["teacher"], views)
        return AtStart(student, teacher, variables, value, aux, *grads)

    return compute(start.params["online"], start.memory)


def logits_of(outputs):
    return np.stack([np.asarray(output["projection"], np.float64) for output in outputs])


def softmax(x):
    exponents = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def leaves(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf, np.float64)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def test_defaults_are_the_papers():
    config = DINO.default_config()
    assert (config.student_temperature, config.teacher_temperature) == (0.1, 0.04)
    assert (config.momentum, config.center_momentum) == (0.996, 0.9)
    assert (config.clip_each, config.weight_decay_end) == (3.0, 0.4)
    assert (config.freeze_last_layer_epochs, config.koleo_weight) == (1, 0)
    assert (config.view1.size, config.view1.crop_scale) == (224, (0.4, 1.0))
    assert (config.local_view.size, config.local_view.crop_scale) == (96, (0.05, 0.4))
    assert config.local_crops == 8
    assert [config[view].blur_p for view in ("view1", "view2", "local_view")] == [1.0, 0.1, 0.5]
    assert [config[v].solarize_p for v in ("view1", "view2", "local_view")] == [0.0, 0.2, 0.0]


def test_imagenet_config_is_the_papers(monkeypatch):
    monkeypatch.setitem(methods.REGISTRY, "dino", DINO)
    config = config_file.load("dino/imagenet")
    settings = config.optimizer
    assert (settings.name, settings.learning_rate, settings.scaling) == ("adamw", 5e-4, "linear")
    assert (settings.weight_decay, settings.end_value, settings.warmup_epochs) == (0.04, 1e-6, 10)
    method = DINO(config, dataclasses.replace(TASK, total_steps=100))
    assert (method.network.encoder.drop_path, method.teacher.encoder.drop_path) == (0.1, 0.0)
    assert (method.network.encoder.dim, method.network.encoder.patch_size) == (384, 16)


def test_teacher_starts_as_the_student_and_the_centre_at_zero(untrained):
    state = untrained(0)
    for memory, own in (("teacher", state.params), ("teacher_variables", state.variables)):
        found, expected = leaves(state.memory[memory]), leaves(own["online"])
        assert set(found) == set(expected)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
    np.testing.assert_array_equal(state.memory["center"], np.zeros(OUT))


def test_loss_is_the_papers_in_float64_with_the_centre_of_before(start, at_start):
    center = np.asarray(start.memory["center"], np.float64)
    targets = softmax((logits_of(at_start.teacher) - center) / 0.04)
    predictions = softmax(logits_of(at_start.student) / 0.1)
    pairs = [(i, v) for i in (0, 1) for v in (0, 1, 2) if v != i]
    terms = [-np.sum(targets[i] * np.log(predictions[v]), axis=1).mean() for i, v in pairs]
    np.testing.assert_allclose(at_start.loss, np.mean(terms), rtol=1e-5)
    chosen = np.bincount(targets[0].argmax(axis=1)) / BATCH
    entropy = -np.sum(chosen[chosen > 0] * np.log(chosen[chosen > 0]))
    np.testing.assert_allclose(at_start.aux.metrics["assignment_entropy"], entropy, rtol=1e-5)


def test_embedding_std_is_that_of_the_unit_bottleneck(at_start):
    z = np.asarray(at_start.student[0]["projector3"], np.float64)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, atol=1e-5)
    found = at_start.aux.metrics["embedding_std"]
    np.testing.assert_allclose(found, z.std(axis=0).mean(), rtol=1e-4)
    assert float(at_start.aux.metrics["collapsed"]) == 0.0
    assert at_start.aux.carry["features"].shape == (BATCH, WIDTH)


def test_images_that_are_all_alike_are_told_as_collapsed(method, start):
    alike = tuple(jnp.broadcast_to(view[:1], view.shape) for view in VIEWS)
    _, aux = jax.jit(method.loss)(start.params["online"], Turn(start, alike, jax.random.key(0)))
    assert float(aux.metrics["collapsed"]) == 1.0
    assert float(aux.metrics["assignment_entropy"]) == 0.0


def test_centre_moves_to_the_mean_of_both_teacher_crops(method, start, at_start):
    mean = logits_of(at_start.teacher).mean(axis=(0, 1))
    expected = 0.9 * np.asarray(start.memory["center"], np.float64) + 0.1 * mean
    found = method.after_step(start, at_start.aux.carry).memory["center"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_no_gradient_reaches_the_teacher(at_start):
    assert all(np.any(leaf) for leaf in jax.tree.leaves(at_start.student_gradient))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(at_start.teacher_gradient))


def test_teacher_keeps_batch_statistics_of_its_own_passes(at_start):
    found = leaves(at_start.aux.memory["teacher_variables"])
    for name, value in leaves(at_start.teacher_variables).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)


def test_teacher_follows_the_student_that_the_optimizer_left(run):
    states, metrics = run
    for k, (before, after) in enumerate(itertools.pairwise(states)):
        m = 1 - (1 - 0.996) * (math.cos(math.pi * k / STEPS) + 1) / 2
        np.testing.assert_allclose(metrics[k]["online/momentum"], m, rtol=1e-6)
        old, student = leaves(before.memory["teacher"]), leaves(after.params["online"])
        for name, value in leaves(after.memory["teacher"]).items():
            expected = m * old[name] + (1 - m) * student[name]
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_step_stores_the_centre_and_the_statistics_of_its_loss(method, start, run):
    """The second step's centre needs the first one's: both have been kept."""
    states, _ = run
    for before, after in itertools.pairwise(states):
        moved = np.abs(np.asarray(after.memory["center"]) - np.asarray(before.memory["center"]))
        assert moved.max() > 1e-4
        # One tenth of the way to a mean of cosines.
        assert moved.max() <= 0.1 * (1 + np.abs(np.asarray(before.memory["center"])).max())
        name = "batch_stats/encoder/stem_norm/mean"
        own = leaves(after.memory["teacher_variables"])[name]
        assert np.abs(own - leaves(before.memory["teacher_variables"])[name]).max() > 1e-4
        assert np.abs(own - leaves(after.variables["online"])[name]).max() > 1e-4


@pytest.mark.parametrize(("step", "value"), [(0, 0.996), (50, 0.998), (100, 1.0)])
def test_teacher_momentum_schedule(step, value):
    task = dataclasses.replace(TASK, total_steps=100)
    momentum = DINO(tiny_config(), task).momentum(jnp.int32(step))
    np.testing.assert_allclose(momentum, value, rtol=1e-6)


@pytest.mark.parametrize(("step", "value"), [(0, 0.04), (15, 0.055), (30, 0.07), (99, 0.07)])
def test_teacher_temperature_schedule(step, value):
    task = dataclasses.replace(TASK, total_steps=100)
    config = tiny_config(teacher_temperature=0.07, teacher_warmup_epochs=15.0)
    temperature = DINO(config, task).teacher_temperature(jnp.int32(step))
    np.testing.assert_allclose(temperature, value, rtol=1e-6)
    np.testing.assert_allclose(DINO(tiny_config(), task).teacher_temperature(jnp.int32(step)), 0.04)


def test_last_layer_waits_an_epoch(run):
    states, _ = run
    path = [leaves(state.params["online"]) for state in states]
    for k in range(4):
        last, first = (
            np.abs(path[k + 1][name] - path[k][name]).max()
            for name in ("projector/last_layer", "encoder/stem_conv/kernel")
        )
        assert (last == 0) == (k < EPOCH)
        assert first > 0


def test_optimizer_decays_and_clips_as_the_paper_says(method, start):
    """Without a gradient, AdamW's step is its decay alone: learning rate times weight decay."""
    params, tx = start.params["online"], method.players[0].tx
    state, update = tx.init(params), jax.jit(tx.update)
    nothing = jax.tree.map(jnp.zeros_like, params)
    for k in range(STEPS):
        cosine = (1 + math.cos(math.pi * k / STEPS)) / 2
        share = RATE * cosine * (0.4 + (DECAY - 0.4) * cosine)
        updates, state = update(nothing, state, params, step=k)
        moved, at = leaves(updates), leaves(params)
        kernel = "encoder/stem_conv/kernel"
        np.testing.assert_allclose(moved[kernel], -share * at[kernel], rtol=1e-4)
        assert not np.any(moved["encoder/stem_norm/scale"])
        assert not np.any(moved["projector/linear1/bias"])
        waits = 0.0 if k < EPOCH else 1.0
        last = "projector/last_layer"
        np.testing.assert_allclose(moved[last], -waits * share * at[last], rtol=1e-4)

    config = tiny_config({"name": "sgd", "weight_decay": 0.0}, weight_decay_end=0.0)
    plain = DINO(config, TASK).players[0].tx
    steep = jax.tree.map(lambda p: jnp.full_like(p, 5.0), params)
    updates, _ = jax.jit(plain.update)(steep, plain.init(params), params, step=0)
    for name, value in leaves(updates).items():
        expected = 0.0 if name == "projector/last_layer" else 3.0 * RATE
        np.testing.assert_allclose(np.linalg.norm(value), expected, rtol=1e-4)


def test_koleo_is_added_for_each_large_crop(start, at_start):
    weighted = DINO(tiny_config(koleo_weight=0.1), TASK)
    spread = [float(losses.koleo(crop["features"])) for crop in at_start.student[:2]]
    loss, _ = jax.jit(weighted.loss)(start.params["online"], Turn(start, VIEWS, jax.random.key(0)))
    np.testing.assert_allclose(loss - at_start.loss, 0.1 * sum(spread), rtol=1e-4)


def test_teacher_drops_no_paths_and_the_student_does(monkeypatch):
    tiny = functools.partial(models.VisionTransformer, dim=DIM, depth=2, heads=2, patch_size=4)
    monkeypatch.setitem(models.ENCODERS, "vit_test", tiny)
    config = tiny_config(model={"name": "vit_test", "drop_path": 0.9})
    method = DINO(config, TASK)
    rng = np.random.default_rng(0)
    params, _, memory = jax.tree.map(
        lambda x: jnp.asarray(rng.normal(size=x.shape) / 4, x.dtype),
        jax.eval_shape(method.init, jax.random.key(0)),
    )
    state = TrainState(jnp.int32(0), params, {"online": {}}, {}, memory, jax.random.key(0))
    loss = jax.jit(method.loss)
    (one, aux1), (two, aux2) = (
        loss(state.params["online"], Turn(state, VIEWS, jax.random.key(key))) for key in (0, 1)
    )
    assert abs(float(one - two)) > 1e-4
    np.testing.assert_array_equal(aux1.carry["logits"], aux2.carry["logits"])


def test_eight_devices_learn_what_one_learns(method, start, run):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    state = jax.device_put(start, whole)
    batches = [jax.device_put(batch(number), split) for number in range(3)]
    step = jax.jit(make_step(method), out_shardings=(whole, whole)).lower(state, batches[0])
    step = step.compile()
    # No images change their device.
    assert not [name for name in ("all-to-all", "collective-permute(") if name in step.as_text()]
    for number in range(3):
        state, metrics = step(state, batches[number])
        for name in ("online/loss", "online/grad_norm", "online/embedding_std"):
            np.testing.assert_allclose(metrics[name], run[1][number][name], rtol=1e-4)


def test_features_are_the_teachers_without_its_logits(method, start):
    images = batch(0)["images"]["image"][:, 0]
    features = jax.jit(method.features)
    expected = features(start, images)
    assert set(expected) == {
        *("stem", "stage1", "features"),
        *("projector1", "projector2", "projector3"),
    }
    assert method.evaluated == "teacher encoder"
    student = jax.tree.map(jnp.zeros_like, start.params)
    np.testing.assert_array_equal(
        features(start.replace(params=student), images)["features"], expected["features"]
    )
    teacher = jax.tree.map(jnp.zeros_like, start.memory["teacher"])
    changed = start.replace(memory=start.memory | {"teacher": teacher})
    assert not np.any(features(changed, images)["features"])
