"""DINO against loops in float64, the limits of its teacher, and its centre."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.distillation import dino_loss, masked_patch_entropy, update_center


def f32(x):
    return jnp.asarray(x, jnp.float32)


def softmax(x):
    return np.exp(x - x.max()) / np.sum(np.exp(x - x.max()))


def reference(student, teacher, center, student_temperature, teacher_temperature):
    terms = []
    for view in range(len(teacher)):
        for crop in range(len(student)):
            if crop == view:
                continue
            for s, t in zip(student[crop], teacher[view], strict=True):
                target = softmax((t - center) / teacher_temperature)
                terms.append(-np.sum(target * np.log(softmax(s / student_temperature))))
    return np.mean(terms)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 3, 7)), rng.normal(size=(2, 3, 7)), 0.5 * rng.normal(size=7)


@pytest.mark.parametrize("temperatures", [(0.1, 0.04), (0.1, 0.07), (1.0, 1.0)])
@pytest.mark.parametrize("crops", [2, 5])
def test_value_matches_float64(data, temperatures, crops):
    student, teacher, center = data
    value = dino_loss(f32(student[:crops]), f32(teacher), f32(center), *temperatures)
    expected = reference(student[:crops], teacher, center, *temperatures)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_crops_may_come_as_a_list_and_temperatures_traced(data):
    student, teacher, center = map(f32, data)
    listed = jax.jit(dino_loss)(
        list(student), list(teacher), center, jnp.float32(0.1), jnp.float32(0.04)
    )
    np.testing.assert_allclose(listed, dino_loss(student, teacher, center), rtol=1e-6)


def test_teacher_at_the_centre_is_uniform(data):
    student, _, center = map(f32, data)
    teacher = jnp.broadcast_to(center, (2, 3, 7))
    # The mean over classes of -log p of the crops, each seen by the views that are not itself.
    entropy = [-np.mean(jax.nn.log_softmax(crop / 0.1)) for crop in student]
    expected = np.dot([1, 1, 2, 2, 2], entropy) / 8
    np.testing.assert_allclose(dino_loss(student, teacher, center), expected, rtol=1e-5)
    uniform = dino_loss(jnp.zeros((5, 3, 7)), teacher, center)
    np.testing.assert_allclose(uniform, np.log(7), rtol=1e-5)


def test_sharp_and_equal_networks_have_no_loss():
    logits = 100 * jnp.broadcast_to(jnp.eye(4, dtype=jnp.float32), (3, 4, 4))
    assert float(dino_loss(logits, logits[:2], jnp.zeros(4))) == pytest.approx(0.0, abs=1e-6)


def test_a_shift_of_teacher_and_centre_together_changes_nothing(data):
    student, teacher, center = map(f32, data)
    shift = f32(np.arange(7))
    moved = dino_loss(student, teacher + shift[None, None, :], center + shift)
    np.testing.assert_allclose(moved, dino_loss(student, teacher, center), rtol=1e-4)


def test_only_the_student_gets_a_gradient(data):
    for_student, for_teacher, for_center = jax.grad(dino_loss, argnums=(0, 1, 2))(*map(f32, data))
    assert np.any(for_student != 0)
    assert not np.any(for_teacher)
    assert not np.any(for_center)


def test_centre_moves_to_the_mean_of_both_views(data):
    _, teacher, center = data
    expected = 0.9 * center + 0.1 * teacher.reshape(-1, 7).mean(axis=0)
    np.testing.assert_allclose(update_center(f32(center), f32(teacher)), expected, rtol=1e-5)
    listed = update_center(f32(center), [f32(teacher[0]), f32(teacher[1])], 0.9)
    np.testing.assert_allclose(listed, expected, rtol=1e-5)


def test_centre_converges_to_the_mean(data):
    teacher, center = f32(data[1]), f32(data[2])
    for _ in range(100):
        center = update_center(center, teacher)
    np.testing.assert_allclose(center, data[1].reshape(-1, 7).mean(axis=0), rtol=1e-3, atol=1e-5)


def test_centre_stays_float32_for_bfloat16_logits(data):
    teacher = jnp.asarray(data[1], jnp.bfloat16)
    assert update_center(jnp.zeros(7), teacher).dtype == jnp.float32


def test_entropy_of_masked_patches_matches_float64_in_value_and_gradient():
    rng = np.random.default_rng(3)
    targets, logits = rng.dirichlet(np.ones(4), size=(5, 6)), rng.normal(size=(5, 6, 4))
    mask = rng.uniform(size=(5, 6)) < 0.5
    mask[2] = False
    total, slopes = 0.0, np.zeros_like(logits)
    for image, patch in np.argwhere(mask):
        shares = np.exp(logits[image, patch] / 0.2)
        shares /= shares.sum()
        count = mask[image].sum() * len(mask)
        total -= targets[image, patch] @ np.log(shares) / count
        slopes[image, patch] = (shares - targets[image, patch]) / 0.2 / count
    value, (by_targets, by_logits) = jax.value_and_grad(masked_patch_entropy, argnums=(0, 1))(
        jnp.float32(targets), jnp.float32(logits), jnp.asarray(mask), 0.2
    )
    np.testing.assert_allclose(value, total, rtol=1e-5)
    np.testing.assert_allclose(by_logits, slopes, rtol=1e-4, atol=1e-6)
    assert not np.any(by_targets)
