"""Bags of visual words against loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.visual_words import (
    hard_histograms,
    local_features,
    soft_histograms,
    word_distances,
)

BATCH, HEIGHT, WIDTH, CHANNELS, WORDS = 3, 4, 5, 6, 7


def maps_for(seed=0, shape=(BATCH, HEIGHT, WIDTH, CHANNELS)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def vocabulary():
    return maps_for(1, (WORDS, CHANNELS))


def test_distances_are_those_of_each_place_to_each_word():
    found = word_distances(jnp.asarray(maps_for()), jnp.asarray(vocabulary()))
    rows = maps_for().astype(np.float64).reshape(BATCH, -1, 1, CHANNELS)
    expected = ((rows - vocabulary().astype(np.float64)) ** 2).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sharpness", [0.1, 3.0])
def test_soft_words_are_the_largest_code_of_each_scaled_to_sum_one(sharpness):
    distances = np.random.default_rng(2).uniform(0, 4, (BATCH, 9, WORDS))
    codes = np.exp(-sharpness * distances)
    codes /= codes.sum(-1, keepdims=True)
    best = codes.max(1)
    found = soft_histograms(jnp.asarray(distances), sharpness)
    np.testing.assert_allclose(found, best / best.sum(1, keepdims=True), rtol=1e-5)


def test_a_word_counts_once_however_often_it_is_seen_unless_words_are_hard():
    nearest = np.array([[0, 0, 0, 4]])
    distances = 100.0 * (1 - np.eye(WORDS)[nearest])
    np.testing.assert_allclose(
        soft_histograms(jnp.asarray(distances), 1.0)[0, [0, 4]], [0.5, 0.5], atol=1e-6
    )
    np.testing.assert_allclose(
        hard_histograms(jnp.asarray(nearest), WORDS)[0, [0, 4]], [0.75, 0.25]
    )


def test_hard_words_are_shares_of_the_places():
    nearest = np.random.default_rng(3).integers(0, WORDS, (BATCH, 11))
    expected = [np.bincount(row, minlength=WORDS) / 11 for row in nearest]
    np.testing.assert_allclose(hard_histograms(jnp.asarray(nearest), WORDS), expected, rtol=1e-6)


def test_local_features_are_means_of_windows_each_as_often():
    maps = maps_for(4, (1, 4, 5, 2))
    windows = {
        (row, column): maps[0, row : row + 3, column : column + 3].mean((0, 1))
        for row in range(2)
        for column in range(3)
    }
    many = jnp.broadcast_to(jnp.asarray(maps), (300, 4, 5, 2))
    found = np.asarray(jax.jit(local_features)(jax.random.split(jax.random.key(0), 300), many))
    distances = np.abs(found[:, None] - np.stack(list(windows.values()))[None]).max(-1)
    np.testing.assert_allclose(distances.min(1), 0.0, atol=1e-5)
    counts = np.bincount(distances.argmin(1), minlength=6)
    assert counts.min() > 25
    small = local_features(jax.random.split(jax.random.key(0), 1), jnp.asarray(maps[:, :2, :2]))
    np.testing.assert_allclose(small[0], maps[0, :2, :2].mean((0, 1)), atol=1e-6)
