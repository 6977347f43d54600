"""Distillation: the frozen teacher, what the student learns of it, and who can teach."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.joint_embedding.simclr import SimCLR
from ssljax.methods.transfer.distill import Distill
from ssljax.methods.transfer.finetune import Finetune
from ssljax.run.step import make_step


def _with_labels(batch, labels):
    return {"images": batch["images"] | {"label": labels}}


def softmax(x):
    x = np.asarray(x, np.float64)
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def teacher(tiny):
    """A fine-tuned network, stood in for by one with a random classifier."""
    method = tiny.build(Finetune)
    start = tiny.init(method)
    kernel = 2 * jax.random.normal(jax.random.key(5), (16, 3))
    params = start.params["online"] | {"classifier": {"kernel": kernel, "bias": jnp.zeros(3)}}
    return method, start.replace(params={"online": params})


@pytest.fixture(scope="module")
def build(tiny, teacher):
    def make(source=teacher[0], widths=(8, 16), task=tiny.task, **changes):
        config = tiny.config(Distill, **changes)
        config.model.encoder.widths = widths
        config.optimizer.update(name="adamw", learning_rate=0.01, schedule="constant")
        return Distill(config, dataclasses.replace(task, source=source))

    return make


@pytest.fixture(scope="module")
def run(tiny, build, teacher):
    """A thinner student, its states before and after 60 steps on the same images, and metrics."""
    method = build(widths=(8, 12))
    start = method.start_from(tiny.init(method), *teacher)
    step = tiny.jit(make_step(method))
    now, metrics = start, []
    for _ in range(60):
        # Labels that are all wrong to read: with alpha 1 they are not.
        now, values = step(now, _with_labels(tiny.batch(0), jnp.full((16, 1), -7, jnp.int32)))
        metrics.append(values)
    return method, start, now, metrics


def test_only_the_teacher_is_taken(tiny, run, teacher):
    method, start, _, _ = run
    untrained = tiny.init(method)
    for own, given in (
        (start.memory["teacher"], teacher[1].params["online"]),
        (start.memory["teacher_variables"], teacher[1].variables["online"]),
        (start.params, untrained.params),
        (start.variables, untrained.variables),
    ):
        assert jax.tree.structure(own) == jax.tree.structure(given)
        for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(given), strict=True):
            np.testing.assert_array_equal(a, b)
    assert jax.tree.structure(start) == jax.tree.structure(untrained)


def test_the_student_comes_near_the_teacher_which_stays_as_it_was(tiny, run, teacher):
    method, start, end, metrics = run
    for a, b in zip(jax.tree.leaves(start.memory), jax.tree.leaves(end.memory), strict=True):
        np.testing.assert_array_equal(a, b)
    images = tiny.batch(0)["images"]["image"][:, 0]
    target = softmax(teacher[0].features(teacher[1], images)["logits"])
    distances = [
        np.abs(softmax(method.features(now, images)["logits"]) - target).sum(axis=1).mean()
        for now in (start, end)
    ]
    assert distances[1] < 0.5 * distances[0]
    assert metrics[-1]["online/loss"] < metrics[0]["online/loss"]
    assert metrics[-1]["online/agreement"] > 0.9


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_loss_is_that_of_the_probabilities_on_one_view(tiny, build, teacher, run, temperature):
    method = build(widths=(8, 12), temperature=temperature)
    end = run[2]
    view = tiny.views()[0]
    value, aux = tiny.loss(method, end, {"image": view})
    student, _ = tiny.outputs(method.network, end.params["online"], end.variables["online"], view)
    fixed = teacher[0].network.apply(
        {"params": teacher[1].params["online"], **teacher[1].variables["online"]}, view, train=False
    )
    wanted = softmax(fixed["logits"] / temperature)
    found = softmax(student["logits"] / temperature)
    expected = -np.mean(np.sum(wanted * np.log(found), axis=1))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    agreement = np.mean(wanted.argmax(axis=1) == found.argmax(axis=1))
    np.testing.assert_allclose(aux.metrics["agreement"], agreement)


def test_below_alpha_1_the_labels_that_are_known_count_too(tiny, build, run):
    method = build(widths=(8, 12), alpha=0.25)
    end, view = run[2], tiny.views()[0]
    labels = jnp.where(jnp.arange(16) < 4, jnp.arange(16) % 3, -1)
    batch = _with_labels(tiny.batch(0), labels[:, None])
    views = method.views(jax.random.key(0), jax.tree.map(lambda x: x[:, 0], batch))
    np.testing.assert_array_equal(views["label"], labels)
    value, _ = tiny.loss(method, end, {"image": view, "label": labels})
    soft, _ = tiny.loss(build(widths=(8, 12)), end, {"image": view})
    student, _ = tiny.outputs(method.network, end.params["online"], end.variables["online"], view)
    found = softmax(student["logits"])
    true = -np.sum(np.log(found[np.arange(4), np.arange(4) % 3])) / 16
    np.testing.assert_allclose(value, 0.25 * soft + 0.75 * true, rtol=1e-5)


def test_a_student_may_teach_in_its_turn(tiny, build, run):
    method, _, end, _ = run
    second = build(source=method, widths=(8,))
    start = second.start_from(tiny.init(second), method, end)
    for a, b in zip(
        jax.tree.leaves(start.memory["teacher"]), jax.tree.leaves(end.params["online"]), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(tiny.loss(second, start, {"image": tiny.views()[0]})[0])


def test_a_data_set_without_labels_will_do(tiny, build):
    method = build(task=dataclasses.replace(tiny.task, num_classes=None))
    assert method.num_classes == 3
    views = method.views(
        jax.random.key(0), {"images": {"image": tiny.batch(0)["images"]["image"][:, 0]}}
    )
    assert views.keys() == {"image"}


def test_what_cannot_teach_is_told(tiny, build, first_steps):
    for source in (None, first_steps(SimCLR)[0]):
        with pytest.raises(ValueError, match=r"needs a teacher: set config\.init\.workdir"):
            build(source=source)


def test_views_that_the_teacher_does_not_know_are_told(tiny, build):
    view = tiny.config(Distill).method.view
    view.update(mean=(0.5,), std=(0.25,))
    with pytest.raises(ValueError, match=r"method.view.mean is \(0.5,\) but the teacher's is None"):
        build(view=view)


@pytest.mark.parametrize(
    ("changes", "classes", "told"),
    [
        (dict(alpha=1.5), 3, "alpha is 1.5"),
        (dict(alpha=0.5), 4, "has 4 classes and the teacher 3"),
        (dict(alpha=0.5), None, "has None classes and the teacher 3"),
    ],
)
def test_labels_that_do_not_fit_are_told(tiny, build, changes, classes, told):
    task = dataclasses.replace(tiny.task, num_classes=classes)
    with pytest.raises(ValueError, match=told):
        build(task=task, **changes)
