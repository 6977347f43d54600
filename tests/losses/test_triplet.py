"""The semi-hard triplet loss against a float64 computation by loops, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import semi_hard_triplet

LOSS = jax.jit(jax.value_and_grad(semi_hard_triplet))


def embeddings(batch, views, dim, spread, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(batch, 1, dim))
    return (3 * (centres + spread * rng.normal(size=(batch, views, dim)))).astype(np.float32)


def reference(x, margin):
    """One pair at a time; also how many took a semi-hard negative."""
    z = x.astype(np.float64)
    z = z / np.sqrt((z**2).sum(-1, keepdims=True))
    batch, views = z.shape[:2]
    costs, semi_hard = [], 0
    for image, anchor, positive in np.ndindex(batch, views, views):
        if anchor == positive:
            continue
        near = np.sum((z[image, anchor] - z[image, positive]) ** 2)
        others = np.delete(z, image, axis=0).reshape(-1, z.shape[-1])
        far = np.sum((z[image, anchor] - others) ** 2, axis=1)
        further = far[far > near]
        semi_hard += len(further) > 0
        costs.append(max(0.0, margin + near - (further.min() if len(further) else far.max())))
    return np.mean(costs), semi_hard / len(costs)


@pytest.mark.parametrize(("spread", "margin"), [(0.3, 0.5), (1.5, 0.5), (6.0, 1.0)])
def test_value_and_gradient_are_those_of_the_formula(spread, margin):
    x = embeddings(4, 3, 3, spread)
    value, slope = LOSS(jnp.asarray(x), margin)
    expected, _ = reference(x, margin)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    step = 1e-5
    for index in ((0, 0, 0), (2, 1, 2), (3, 2, 1)):
        up, down = x.astype(np.float64), x.astype(np.float64)
        up[index] += step
        down[index] -= step
        difference = (reference(up, margin)[0] - reference(down, margin)[0]) / (2 * step)
        np.testing.assert_allclose(slope[index], difference, rtol=1e-3, atol=1e-6)


def test_both_kinds_of_negatives_are_met_in_these_tests():
    assert reference(embeddings(4, 3, 3, 0.3), 0.5)[1] == 1.0
    assert 0.0 < reference(embeddings(4, 3, 3, 6.0), 1.0)[1] < 1.0


def test_lengths_and_the_order_of_images_are_of_no_account():
    x = jnp.asarray(embeddings(6, 2, 4, 1.0))
    value, slope = LOSS(x, 0.5)
    order = np.random.default_rng(1).permutation(6)
    np.testing.assert_allclose(LOSS(x[order], 0.5)[0], value, rtol=1e-6)
    lengths = jnp.asarray(np.geomspace(1e-3, 1e3, 6), jnp.float32)[:, None, None]
    np.testing.assert_allclose(LOSS(x * lengths, 0.5)[0], value, rtol=1e-4)
    # Over features, not over the batch: no gradient along an embedding.
    np.testing.assert_allclose(jnp.sum(slope * x, axis=-1), 0.0, atol=1e-6)


def test_embeddings_that_are_all_the_same_cost_the_margin_and_images_far_apart_nothing():
    np.testing.assert_allclose(semi_hard_triplet(jnp.ones((5, 2, 3)), 0.5), 0.5, atol=1e-6)
    apart = jnp.repeat(jnp.eye(5)[:, None], 3, axis=1)
    assert semi_hard_triplet(apart, 0.5) == 0.0
    assert semi_hard_triplet(apart, 2.5) == pytest.approx(0.5)


def test_one_view_and_no_margin_are_refused():
    with pytest.raises(ValueError, match="two views"):
        semi_hard_triplet(jnp.ones((3, 1, 2)))
    with pytest.raises(ValueError, match="margin"):
        semi_hard_triplet(jnp.ones((3, 2, 2)), 0.0)
