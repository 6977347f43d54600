"""The ranking loss of tracked patches against float64 loops, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import other_groups, siamese_triplet

BATCH = 7
VIDEOS = jnp.array([0, 0, 1, 2, -1, -1, 3])
LOSS = jax.jit(jax.value_and_grad(siamese_triplet), static_argnames="negatives")


def pairs(spread, dim=4, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(BATCH, 1, dim))
    embeddings = 3 * (centres + spread * rng.normal(size=(BATCH, 2, dim)))
    draws = rng.uniform(size=(BATCH, BATCH, 2, 2))
    return embeddings.astype(np.float32), jnp.asarray(draws, jnp.float32)


def reference(x, draws, margin, negatives, hard):
    """One pair at a time; also how many negatives each has, and how many patches violate."""
    z = x.astype(np.float64)
    z = z / np.sqrt((z**2).sum(-1, keepdims=True))
    draws, videos = np.asarray(draws), np.asarray(VIDEOS)
    total, taken, violating = 0.0, [], []
    for i, (first, second) in enumerate(z):
        own = 1 - first @ second
        wrong = [
            (1 - first @ z[j, k], j, k)
            for j, k in np.ndindex(BATCH, 2)
            if j != i
            and (videos[j] != videos[i] or videos[i] < 0)
            and own - (1 - first @ z[j, k]) + margin > 0
        ]
        wrong.sort()
        nearest = sorted(wrong[:negatives], key=lambda one: -draws[i, one[1], one[2], 0])
        chosen = nearest[:hard]
        rest = [one for one in wrong if one not in chosen]
        rest.sort(key=lambda one: -draws[i, one[1], one[2], 1])
        chosen += rest[: negatives - hard]
        for far, j, k in chosen:
            total += max(0.0, own - far + margin)
            total += max(0.0, own - (1 - second @ z[j, k]) + margin)
        taken.append(len(chosen))
        violating.append(len(wrong))
    return total / (2 * negatives * BATCH), taken, violating


@pytest.mark.parametrize(
    ("spread", "margin", "hard"), [(0.3, 0.5, 0), (0.3, 0.5, 2), (1.0, 1.0, 2), (0.1, 0.1, 4)]
)
def test_value_and_gradient_are_those_of_the_formula(spread, margin, hard):
    x, draws = pairs(spread)
    value, slope = LOSS(jnp.asarray(x), draws, VIDEOS, margin, negatives=4, hard=hard)
    np.testing.assert_allclose(value, reference(x, draws, margin, 4, hard)[0], rtol=1e-5)
    step = 1e-6
    for index in ((0, 0, 0), (2, 1, 2), (4, 0, 3), (6, 1, 1)):
        up, down = x.astype(np.float64), x.astype(np.float64)
        up[index] += step
        down[index] -= step
        ends = (reference(end, draws, margin, 4, hard)[0] for end in (up, down))
        difference = np.subtract(*ends) / (2 * step)
        np.testing.assert_allclose(slope[index], difference, rtol=2e-3, atol=1e-6)


def test_these_tests_meet_few_and_many_that_violate():
    x, draws = pairs(0.3)
    _, taken, violating = reference(x, draws, 0.5, 4, 2)
    assert min(violating) < 4 < max(violating)
    assert taken == [min(4, count) for count in violating]


def test_hard_negatives_cost_more_than_random_ones():
    x, draws = pairs(1.0)
    costs = [LOSS(x, draws, VIDEOS, 1.0, negatives=4, hard=hard)[0] for hard in (0, 2, 4)]
    assert costs[0] < costs[1] < costs[2]


def test_lengths_are_of_no_account_and_patches_of_one_video_are_no_negatives():
    x, draws = pairs(0.5)
    value, slope = LOSS(x, draws, VIDEOS, 0.5, negatives=4, hard=2)
    np.testing.assert_allclose(LOSS(5 * x, draws, VIDEOS, 0.5, negatives=4, hard=2)[0], value, 1e-5)
    np.testing.assert_allclose(jnp.sum(slope * x, axis=-1), 0.0, atol=1e-6)
    one_video = jnp.zeros(BATCH, jnp.int32)
    value, slope = LOSS(x, draws, one_video, 0.5, negatives=4, hard=2)
    assert value == 0.0
    assert not np.any(slope)
    allowed = np.asarray(other_groups(VIDEOS))
    assert (allowed[0, 1], allowed[4, 5], allowed[4, 4], allowed[0, 2]) == (
        False,
        True,
        False,
        True,
    )


def test_embeddings_that_are_all_the_same_cost_the_margin_and_those_far_apart_nothing():
    _, draws = pairs(1.0)
    apart = jnp.arange(BATCH)
    same = siamese_triplet(jnp.ones((BATCH, 2, 3)), draws, apart, 0.5)
    np.testing.assert_allclose(same, 0.5, atol=1e-6)
    eyes = jnp.repeat(jnp.eye(BATCH)[:, None], 2, axis=1)
    assert siamese_triplet(eyes, draws, apart, 0.5) == 0.0


def test_three_patches_no_margin_and_no_negatives_are_refused():
    _, draws = pairs(1.0)
    with pytest.raises(ValueError, match="two patches"):
        siamese_triplet(jnp.ones((BATCH, 3, 2)), draws, VIDEOS)
    with pytest.raises(ValueError, match="margin"):
        siamese_triplet(jnp.ones((BATCH, 2, 2)), draws, VIDEOS, 0.0)
    with pytest.raises(ValueError, match="negatives"):
        siamese_triplet(jnp.ones((BATCH, 2, 2)), draws, VIDEOS, negatives=0)
