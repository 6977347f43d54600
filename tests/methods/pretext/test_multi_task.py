"""Several tasks over one encoder: what they share, what each has of its own, and how they count."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import augment, methods
from ssljax.augment import ViewPolicy
from ssljax.config import file as config_file
from ssljax.methods import passes, pretext
from ssljax.methods.contract import Task, Turn
from ssljax.methods.pretext import multi_task
from ssljax.methods.pretext.multi_task import MultiTask, pick
from ssljax.methods.pretext.shared_encoder import Harmony
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import EncoderWithTask, PretextTask, Question
from ssljax.run.step import init_state

VIEW = dataclasses.asdict(ViewPolicy(8, crop_scale=None, flip_p=0.0))


class MirrorHead(nn.Module):
    @nn.compact
    def __call__(self, encode, inputs, train):
        features = encode(inputs)["features"]
        return {"logits": nn.Dense(1)(features)[:, 0], "features": features}


class MirrorTask(PretextTask):
    """Is the image mirrored? It is seen five times as bright, and grey."""

    scale = 1.0

    def __init__(self, config, task, dtype):
        self.view = augment.view_from_config(config.view)
        self.head = MirrorHead()
        self.chance = {"mirror_accuracy": 0.5}

    @staticmethod
    def default_config():
        return ConfigDict(dict(view=VIEW))

    def ask(self, key, images):
        seen = 5 * augment.make_view(self.view, key, images).mean(axis=-1, keepdims=True)
        keys = augment.example_keys(key, len(seen))
        mirrored = jax.vmap(jax.random.bernoulli)(keys)
        return Question(jnp.where(mirrored[:, None, None, None], seen[:, :, ::-1], seen), mirrored)

    def loss(self, outputs, targets):
        signs = jnp.where(targets, 1.0, -1.0)
        return self.scale * jnp.mean(nn.softplus(-signs * outputs["logits"])), {}

    def scores(self, outputs, targets):
        return {"mirror_accuracy": ((outputs["logits"] > 0) == targets).astype(jnp.float32)}

    def picture(self, outputs, question):
        return self.to_pixels(question.inputs[:, None, :4] / 5)


@pytest.fixture(autouse=True)
def with_mirror(monkeypatch):
    monkeypatch.setitem(multi_task.TASKS, "mirror", MirrorTask)


TASKS = ("rotation", "mirror")


@pytest.fixture
def build(tiny):
    def method(channels=1, tasks=TASKS, resize="short_side", **changes):
        config = tiny.config(MultiTask, tasks=tasks, **changes)
        config.data.resize = resize
        for name in set(tasks) & set(multi_task.TASKS):
            config.method[name].view.update(VIEW)
        return MultiTask(config, dataclasses.replace(tiny.task, image_shape=(8, 8, channels)))

    return method


def images(channels=1, rows=16):
    shape = (rows, 8, 8, channels)
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def moved(tree):
    """Parameters or statistics that are not those of the start."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: x + jnp.asarray(rng.uniform(0.1, 0.5, x.shape), x.dtype), tree)


def turn_of(method, state, batch):
    views = method.views(jax.random.key(3), {"images": {"image": batch}})
    return Turn(state, views, jax.random.key(1))


def close(a, b, rtol=1e-5):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6)


def test_every_task_that_is_a_method_of_its_own_may_share_an_encoder():
    alone = {
        name: kind.task_type
        for name, kind in methods.REGISTRY.items()
        if issubclass(kind, PretextMethod)
    }
    known = {name: kind for name, kind in multi_task.TASKS.items() if name != "mirror"}
    assert known == {name: kind for name, kind in alone.items() if name in known}
    missing = alone.keys() - known.keys()
    assert missing <= pretext.multi_task.APART, "add it to TASKS, or say why not"


def test_each_task_learns_as_if_alone_but_for_the_shared_encoder(tiny, build):
    method = build(weights=(1.0, 3.0), balance=False)
    state = tiny.init(method)
    state = state.replace(params=moved(state.params), variables=moved(state.variables))
    turn, params = turn_of(method, state, images()), state.params["online"]
    (value, aux), grads = tiny.jit(jax.value_and_grad(method.loss, has_aux=True))(params, turn)

    total, encoder_grads = 0.0, []
    for name, weight in zip(TASKS, (1.0, 3.0), strict=True):
        task, question = method.pretext[name], turn.views[name]
        network = EncoderWithTask(method.networks["whole"].encoder, task.head)
        statistics = {"batch_stats": state.variables["online"]["batch_stats"][name]}

        def alone(own, network=network, statistics=statistics, task=task, question=question):
            outputs, changed = passes.forward(network, own, statistics, question.inputs)
            return task.loss(outputs, question.targets)[0], changed

        own = {"encoder": params["encoder"], "head": params[name]}
        (loss, changed), grad = tiny.jit(jax.value_and_grad(alone, has_aux=True))(own)
        total += weight * loss
        close(aux.variables["batch_stats"][name], changed["batch_stats"])
        close(grads[name], jax.tree.map(lambda x, w=weight: w * x, grad["head"]), 1e-4)
        encoder_grads.append(jax.tree.map(lambda x, w=weight: w * x, grad["encoder"]))
        np.testing.assert_allclose(aux.metrics[f"{name}/loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(value, total, rtol=1e-5)
    close(grads["encoder"], jax.tree.map(jnp.add, *encoder_grads), 1e-4)


def test_a_loss_counts_by_its_weight_whatever_its_scale(tiny, build, monkeypatch):
    found = {}
    for scale in (1.0, 1000.0):
        monkeypatch.setattr(MirrorTask, "scale", scale)
        method = build(weights=(2.0, 0.5))
        state = tiny.init(method)
        turn, params = turn_of(method, state, images()), state.params["online"]
        found[scale] = tiny.jit(jax.value_and_grad(method.loss, has_aux=True))(params, turn)
    (value, aux), grads = found[1.0]
    assert float(value) == pytest.approx(2.5, rel=1e-5)
    close(grads, found[1000.0][1], 1e-4)
    # From then on the mean goes with the loss, a hundredth of the way a step.
    state = state.replace(memory={"loss_means": {"rotation": jnp.ones(()), "mirror": jnp.ones(())}})
    value, aux = tiny.loss(method, state, turn.views)
    means = {name: 0.99 + 0.01 * float(aux.metrics[f"{name}/loss"]) for name in TASKS}
    close(aux.memory["loss_means"], means)
    losses = [float(aux.metrics[f"{name}/loss"]) for name in TASKS]
    wanted = 2.0 * losses[0] / means["rotation"] + 0.5 * losses[1] / means["mirror"]
    assert value == pytest.approx(wanted, rel=1e-5)


def test_evaluations_see_whole_images_by_statistics_of_whole_images(tiny, build):
    method = build()
    state = tiny.init(method)
    state = state.replace(params=moved(state.params))
    batch = images()
    _, aux = tiny.loss(method, state, turn_of(method, state, batch).views)
    encoder = method.networks["whole"].encoder
    params, variables = method.trained_weights(state)
    whole = batch.astype(jnp.float32) / 255
    inside = {name: part["encoder"] for name, part in variables.items()}
    wanted, changed = tiny.jit(lambda p, v: passes.forward(encoder, p, v, whole))(
        params["encoder"], inside
    )
    close(aux.variables["batch_stats"]["whole"]["encoder"], changed["batch_stats"])
    close(aux.carry["features"], wanted["features"])
    after = state.replace(variables={"online": aux.variables})
    read = method.features(after, batch)
    weights = {"params": params["encoder"], **changed}
    close(read, encoder.apply(weights, whole, False))
    # The statistics teach nothing.
    turn = turn_of(method, state, batch)
    scaled = turn.replace(views=turn.views | {"whole": Question(100 * turn.views["whole"].inputs)})
    grad = tiny.jit(jax.grad(lambda p, t: method.loss(p, t)[0]))
    close(grad(state.params["online"], turn), grad(state.params["online"], scaled))


def test_a_batch_is_shared_out_by_stride(tiny, build):
    np.testing.assert_array_equal(pick(jnp.arange(8), 4, slice(1, 3)), [1, 2, 5, 6])
    method = build(shares=(3, 1))
    views = method.views(jax.random.key(0), {"images": {"image": images()}})
    assert views["rotation"].inputs.shape[0] == 12
    assert views["mirror"].inputs.shape[0] == 4
    upright = views["rotation"].inputs[:, 0]
    expected = np.asarray(images())[[i for i in range(16) if i % 4 != 3]] / 255
    np.testing.assert_allclose(upright, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="16 images cannot be split into the 3 parts"):
        build(shares=(2, 1))


def test_it_answers_the_questions_of_all_tasks_by_their_own_statistics(tiny, build):
    method = build()
    state = tiny.init(method)
    state = state.replace(params=moved(state.params), variables=moved(state.variables))
    fields, key = {"image": images()}, jax.random.key(5)
    found = tiny.jit(method.solve)(state, fields, key)
    assert found.keys() == method.chance().keys()
    assert method.chance() == {"rotation/rotation_accuracy": 0.25, "mirror/mirror_accuracy": 0.5}
    for number, name in enumerate(TASKS):
        task = method.pretext[name]
        question = task.ask(jax.random.fold_in(key, number), fields)
        weights = {
            "params": {
                "encoder": state.params["online"]["encoder"],
                "head": state.params["online"][name],
            },
            "batch_stats": state.variables["online"]["batch_stats"][name],
        }
        network = EncoderWithTask(method.networks["whole"].encoder, task.head)
        marks = task.scores(network.apply(weights, question.inputs, False), question.targets)
        for score, wanted in marks.items():
            np.testing.assert_array_equal(found[f"{name}/{score}"], wanted)
    # Eight pictures of the rotations and one of the mirror, of the images' size.
    shown = tiny.jit(method.show)(state, fields, key)
    assert shown.shape == (16, 9, 8, 8, 1)
    np.testing.assert_array_equal(shown[:, 0], fields["image"])


class UnsureMirror(MirrorTask):
    """What a guess has depends on the images: it says that none is mirrored."""

    def __init__(self, config, task, dtype):
        super().__init__(config, task, dtype)
        self.chance = {"mirror_accuracy": float("nan")}

    def guess(self, question):
        return {"mirror_accuracy": 1.0 - question.targets.astype(jnp.float32)}


def test_a_guess_is_marked_by_the_tasks_whose_chance_depends_on_the_images(build, monkeypatch):
    monkeypatch.setitem(multi_task.TASKS, "mirror", UnsureMirror)
    method, key = build(), jax.random.key(5)
    found = method.guess({"image": images()}, key)
    asked = method.pretext["mirror"].ask(jax.random.fold_in(key, 1), {"image": images()})
    np.testing.assert_array_equal(found["mirror/mirror_accuracy"], 1 - asked.targets.astype(int))
    np.testing.assert_array_equal(found["rotation/rotation_accuracy"], np.full(16, 0.25))


class Seen(MirrorTask):
    seen_only = True


def test_what_one_task_cannot_be_asked_about_none_is(build, monkeypatch):
    monkeypatch.setitem(multi_task.TASKS, "seen", Seen)
    assert not build().seen_only
    assert build(tasks=("rotation", "seen")).seen_only


def test_inputs_are_made_alike():
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(4, 2, 2, 3)), jnp.float32)
    grey = np.repeat(np.asarray(x).mean(axis=-1, keepdims=True), 3, axis=-1)
    np.testing.assert_array_equal(Harmony(3)(x), x)
    np.testing.assert_array_equal(Harmony(3)(x[..., :1]), np.repeat(x[..., :1], 3, axis=-1))
    np.testing.assert_allclose(Harmony(3, grey=True)(x), grey, rtol=1e-6)
    flat = jnp.zeros((512, 2, 2, 3))
    noise = np.asarray(Harmony(3, grey=True, noise=0.1)(flat, jax.random.key(0)))
    np.testing.assert_allclose(noise.std(axis=(0, 1, 2)), 0.1, rtol=0.1)
    assert np.abs(np.corrcoef(noise.reshape(-1, 3).T) - np.eye(3)).max() < 0.1


def test_grey_inputs_reach_an_encoder_of_colours(tiny, build):
    method = build(channels=3, harmonize=True, noise=0.1)
    state = tiny.init(method)
    kernel = state.params["online"]["encoder"]["stem_conv"]["kernel"]
    assert kernel.shape[2] == 3
    batch = images(3)
    grey = jnp.repeat(jnp.mean(batch.astype(jnp.float32), axis=-1, keepdims=True), 3, axis=-1)
    encoder = method.networks["whole"].encoder
    params, variables = method.trained_weights(state)
    weights = {"params": params["encoder"], "batch_stats": variables["batch_stats"]["encoder"]}
    wanted = encoder.apply(weights, grey / 255, False)
    close(method.features(state, batch), wanted, 1e-4)
    value, _ = tiny.loss(method, state, turn_of(method, state, batch).views)
    assert np.isfinite(value)


class Odd(MirrorTask):
    """A task that needs a norm of its own, and an encoder of its own form."""

    encoder_options: ClassVar = {"norm": nn.LayerNorm}


class Odder(MirrorTask):
    encoder_options: ClassVar = {"norm": nn.GroupNorm}


class Wider(MirrorTask):
    def wrap(self, encoder):
        return encoder.clone(widths=(8, 12))


def test_what_does_not_fit_together_is_told(tiny, build, monkeypatch):
    for name, kind in dict(odd=Odd, odder=Odder, wider=Wider).items():
        monkeypatch.setitem(multi_task.TASKS, name, kind)
    with pytest.raises(
        ValueError, match=r"names 'motion', which is no task .* choose of .*rotation"
    ):
        build(tasks=("rotation", "motion"))
    with pytest.raises(ValueError, match="Bars around an image would tell how it was turned"):
        build(resize="pad")
    with pytest.raises(ValueError, match="must name tasks, each once"):
        build(tasks=("rotation", "rotation"))
    with pytest.raises(ValueError, match=r"weights is \(1.0,\); it must have a number above 0"):
        build(weights=(1.0,))
    with pytest.raises(ValueError, match="odder needs another norm of the encoder"):
        build(tasks=("odd", "odder"))
    with pytest.raises(ValueError, match="wider needs an encoder of its own form"):
        tiny.init(build(tasks=("rotation", "wider")))


def test_the_published_tasks_fit_one_encoder():
    config = config_file.load("multi_task/imagenet")
    pictures = ("context_prediction", "colorization", "exemplar")
    assert config.method.tasks == (*pictures, "motion_segmentation")
    side = config.data.image_size
    task = Task((side, side, 3), config.batch_size, 1000, 100, num_images=1000)
    method = MultiTask(config, task)
    state = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))

    def loss(state, batch):
        views = method.views(jax.random.key(0), batch)
        return method.loss(state.params["online"], Turn(state, views, jax.random.key(1)))

    rows = {
        "image": jax.ShapeDtypeStruct((8, side, side, 3), jnp.uint8),
        "index": jax.ShapeDtypeStruct((8,), jnp.int32),
        "mask": jax.ShapeDtypeStruct((8, side, side), jnp.int32),
    }
    feeds = {"images": ("image", "index"), "frames": ("image", "mask")}
    assert {name: feed.fields for name, feed in methods.feeds(config).items()} == feeds
    batch = {name: {field: rows[field] for field in fields} for name, fields in feeds.items()}
    value, aux = jax.eval_shape(loss, state, batch)
    assert value.shape == ()
    assert {f"{name}/loss" for name in config.method.tasks} <= set(aux.metrics)
    # Everything that the encoder is given has the noise that is asked for, and no colour.
    assert method.harmony == Harmony(3, grey=True, noise=0.01)
