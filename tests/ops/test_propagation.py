"""Labels that follow features, against loops in float64 and against movements that are known."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.propagation import FOLLOWING, Following, copy_by_similarity, follow, remember_first

SHAPE, KINDS = (11, 14), 3


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def looked_up(query, sources, how):
    """One frame from a list of (features, labels), the first frame's first; all in float64."""
    out = np.zeros((*SHAPE, KINDS))
    for row, column in np.ndindex(SHAPE):
        found = []
        for number, (features, labels) in enumerate(sources):
            for y, x in np.ndindex(SHAPE):
                down, along = abs(y - row), abs(x - column)
                near = max(down, along) <= how.radius
                if how.window == "circle":
                    near = np.hypot(down, along) < how.radius
                if near or (number == 0 and not how.first_is_near):
                    likeness = unit(features[y, x]) @ unit(query[row, column])
                    found.append((likeness, labels[y, x]))
        found.sort(key=lambda pair: -pair[0])
        likest = np.array([pair[0] for pair in found[: how.top_k]])
        weights = np.exp((likest - likest[0]) / how.temperature)
        mixed = sum(w * pair[1] for w, pair in zip(weights, found, strict=False))
        out[row, column] = mixed / weights.sum()
    return out


@pytest.mark.parametrize(
    "how",
    [
        Following(2, 4, 3, "circle", 0.3, first_is_near=False, stretch=False),
        Following(2, 40, 2, "square", 0.3, first_is_near=True, stretch=False),
        Following(0, 5, 50, "square", 0.3, first_is_near=True, stretch=False),
    ],
    ids=["as CRW", "as DINO", "the first frame alone, everywhere"],
)
def test_each_frame_is_what_a_loop_over_its_places_finds(how):
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(5, *SHAPE, 4))
    labels = np.eye(KINDS)[rng.integers(0, KINDS, SHAPE)]
    step = jax.jit(functools.partial(follow, how=how))
    known = remember_first(jnp.float32(frames[0]), jnp.float32(labels), how.recent)
    done = [(frames[0], labels)]
    for number in range(1, 5):
        known, found = step(known, jnp.float32(frames[number]))
        recent = done[1:][-how.recent :] if how.recent else []
        expected = looked_up(frames[number], done[:1] + recent, how)
        np.testing.assert_allclose(found, expected, atol=2e-5, err_msg=f"frame {number}")
        # Soft labels are what the later frames look at.
        done.append((frames[number], expected))
        assert number == 1 or np.mean(expected.max(axis=-1) < 0.99) > 0.01


def test_a_textured_square_that_moves_is_followed_to_the_place():
    rng = np.random.default_rng(0)
    ground, square = rng.normal(size=(24, 30, 16)), rng.normal(size=(6, 6, 16))

    def frame(number):
        features, mask = ground.copy(), np.zeros((24, 30), bool)
        top, left = 2 + 2 * number, 3 + 3 * number
        features[top : top + 6, left : left + 6] = square
        mask[top : top + 6, left : left + 6] = True
        return jnp.float32(features), mask

    for name, how in FOLLOWING.items():
        how = dataclasses.replace(how, recent=3, top_k=1)
        features, mask = frame(0)
        first = np.stack([~mask, mask], axis=-1)
        known = remember_first(features, jnp.float32(first), how.recent)
        step = jax.jit(functools.partial(follow, how=how))
        for number in range(1, 8):
            features, mask = frame(number)
            known, labels = step(known, features)
            # What the square has left is ground that no frame has shown, so its own place alone.
            seen = np.argmax(labels, axis=-1).astype(bool)
            np.testing.assert_array_equal(seen[mask], True, err_msg=f"{name}, frame {number}")
            trail = np.zeros_like(mask)
            trail[2:8, 3:9] = True
            np.testing.assert_array_equal(seen[~mask & ~trail], False)


def test_copies_are_means_by_the_softmax_of_inner_products():
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 7, 3))
    values = rng.normal(size=(2, 7, 4))
    powers = np.exp(queries @ keys.swapaxes(1, 2) / 0.5)
    expected = powers / powers.sum(axis=2, keepdims=True) @ values
    found = copy_by_similarity(*map(jnp.float32, (queries, keys, values)), temperature=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
