"""Distillation of classes against loops in float64, its lower bound, and labels that are absent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.soft_labels import labelled_distillation, soft_label_cross_entropy

LABELS = jnp.array([2, -1, 0, -1, -1, 3])


def f32(x):
    return jnp.asarray(x, jnp.float32)


def softmax(x):
    return np.exp(x - x.max()) / np.sum(np.exp(x - x.max()))


def soft_term(student, teacher, temperature):
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        total -= np.sum(softmax(t / temperature) * np.log(softmax(s / temperature)))
    return total


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return 2 * rng.normal(size=(6, 5)), 3 * rng.normal(size=(6, 5))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 4.0])
def test_the_soft_loss_matches_float64(logits, temperature):
    student, teacher = logits
    value = soft_label_cross_entropy(f32(student), f32(teacher), temperature)
    np.testing.assert_allclose(value, soft_term(student, teacher, temperature) / 6, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_weighted_loss_matches_float64(logits, alpha, temperature):
    student, teacher = logits
    value = labelled_distillation(f32(student), f32(teacher), LABELS, temperature, alpha)
    true = -sum(
        np.log(softmax(s)[y]) for s, y in zip(student, LABELS.tolist(), strict=True) if y >= 0
    )
    expected = (alpha * soft_term(student, teacher, temperature) + (1 - alpha) * true) / 6
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_a_student_that_is_its_teacher_has_the_least_loss_and_no_gradient(logits):
    _, teacher = logits
    value, grad = jax.value_and_grad(soft_label_cross_entropy)(f32(teacher), f32(teacher), 2.0)
    entropy = np.mean([-np.sum(softmax(t / 2) * np.log(softmax(t / 2))) for t in teacher])
    np.testing.assert_allclose(value, entropy, rtol=1e-5)
    np.testing.assert_allclose(grad, 0, atol=1e-7)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_gradient_is_the_difference_of_the_probabilities(logits, temperature):
    student, teacher = logits
    grad = jax.grad(soft_label_cross_entropy)(f32(student), f32(teacher), temperature)
    expected = [
        (softmax(s / temperature) - softmax(t / temperature)) / (6 * temperature)
        for s, t in zip(student, teacher, strict=True)
    ]
    np.testing.assert_allclose(grad, expected, rtol=1e-4, atol=1e-7)


def test_the_teacher_gets_no_gradient(logits):
    student, teacher = map(f32, logits)
    for grad in (
        jax.grad(soft_label_cross_entropy, argnums=1)(student, teacher),
        jax.grad(labelled_distillation, argnums=1)(student, teacher, LABELS),
    ):
        assert not np.any(grad)


def test_an_unlabelled_image_gives_the_true_term_nothing(logits):
    student, teacher = map(f32, logits)
    grad = jax.grad(labelled_distillation)(student, teacher, LABELS, 1.0, 0.0)
    assert np.all(np.any(grad, axis=1) == (LABELS >= 0))


def test_low_precision_logits_are_computed_in_float32(logits):
    student, teacher = (f32(x).astype(jnp.bfloat16) for x in logits)
    value = soft_label_cross_entropy(student, teacher)
    wanted = soft_label_cross_entropy(student.astype(jnp.float32), teacher.astype(jnp.float32))
    assert value.dtype == jnp.float32
    assert value == wanted


def test_what_cannot_be_is_refused(logits):
    student, teacher = map(f32, logits)
    with pytest.raises(ValueError, match="temperature is 0"):
        soft_label_cross_entropy(student, teacher, 0.0)
    with pytest.raises(ValueError, match="alpha is 2"):
        labelled_distillation(student, teacher, LABELS, 1.0, 2.0)
