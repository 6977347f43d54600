"""Which pairs of views count, and with what weight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.cross_view import cross_view_entropy


def one_hot_views(*classes):
    return [jnp.eye(3, dtype=jnp.float32)[np.array(view)] for view in classes]


def test_a_view_never_predicts_itself():
    targets = one_hot_views([0, 1], [2, 0])
    right_for_others = [100 * targets[1], 100 * targets[0]]
    assert float(cross_view_entropy(targets, right_for_others, 1.0)) == pytest.approx(0.0)
    right_for_itself = [100 * target for target in targets]
    assert float(cross_view_entropy(targets, right_for_itself, 1.0)) == pytest.approx(100.0)


def test_all_pairs_weigh_the_same():
    # Only the pair (target 0, crop 3) is wrong: one of 2·(4 - 1) pairs.
    targets = one_hot_views([0], [1])
    logits = [100 * targets[1], 100 * targets[0], jnp.zeros((1, 3)), jnp.zeros((1, 3))]
    logits[3] = jnp.array([[-60.0, 0.0, 0.0]])
    uniform, wrong, right = np.log(3.0), 60 + np.log(2.0), np.log(2.0)
    expected = (2 * uniform + wrong + right) / 6
    assert float(cross_view_entropy(targets, logits, 1.0)) == pytest.approx(expected, rel=1e-5)


def test_stacked_arrays_equal_lists():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(4, 5, 3)), jnp.float32)
    targets = jnp.asarray(rng.dirichlet(np.ones(3), size=(2, 5)), jnp.float32)
    assert cross_view_entropy(targets, logits, 0.3) == cross_view_entropy(
        list(targets), list(logits), 0.3
    )


def test_targets_get_no_gradient():
    targets, logits = jnp.full((2, 4, 3), 1 / 3), jnp.ones((3, 4, 3))
    logits = logits.at[:, :, 0].set(2.0)
    for_targets, for_logits = jax.grad(cross_view_entropy, argnums=(0, 1))(targets, logits, 1.0)
    assert not np.any(for_targets)
    assert np.any(for_logits != 0)


@pytest.mark.parametrize(("views", "crops"), [(1, 1), (3, 2), (0, 2)])
def test_impossible_numbers_of_views_are_refused(views, crops):
    with pytest.raises(ValueError, match="paired"):
        cross_view_entropy([jnp.ones((2, 3))] * views, [jnp.ones((2, 3))] * crops, 1.0)
