"""What gives the place of a tile away without being understood, and that it is taken away.

A linear classifier sees the trace alone. It tells the place where nothing is done about the trace,
and does no better than a guess where the task does as its paper says.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import augment
from ssljax.methods.contract import Task
from ssljax.methods.pretext.context_prediction import (
    POSITIONS,
    ContextPredictionTask,
    neighbor_pairs,
)
from ssljax.methods.pretext.jigsaw import JigsawTask

PAIRS = neighbor_pairs(3)
GUESS_PAIR, GUESS_CELL = 0.15, 1 / 9
NEAR = 0.03
"""Some five standard deviations of an accuracy here."""


def tiles_of(task_type, images, **changes):
    """The tiles that the network is given of each image, in the order in which one reads."""
    config = task_type.default_config()
    config.update(changes)
    task = task_type(config, Task(images.shape[1:], len(images), 1, 1.0), "float32")
    inputs = jax.jit(lambda x: task.ask(jax.random.key(1), {"image": x}).inputs)(images)
    return np.asarray(inputs["tiles"] if task_type is JigsawTask else inputs)


def accuracy(seen, answers):
    """Of a linear classifier, by least squares, on the half of the images that it has not seen.

    Args:
      seen: (images, questions, numbers).
      answers: (questions,), the same for every image.
    """
    flat = seen.reshape(-1, seen.shape[-1])
    seen = (seen - flat.mean(axis=0)) / np.maximum(flat.std(axis=0), 1e-9)
    seen = np.concatenate([seen, np.ones((*seen.shape[:2], 1))], axis=-1)
    half = len(seen) // 2
    known = seen[:half].reshape(-1, seen.shape[-1])
    targets = np.tile(np.eye(answers.max() + 1)[answers], (half, 1))
    weights = np.linalg.lstsq(known, targets, rcond=1e-6)[0]
    return np.mean(np.argmax(seen[half:] @ weights, axis=-1) == answers)


def pair_accuracy(seen):
    """Of telling where one tile lies from another, by what is seen of each of the two."""
    both = np.concatenate([seen[:, PAIRS[:, 0]], seen[:, PAIRS[:, 1]]], axis=-1)
    return accuracy(both, PAIRS[:, 2])


@functools.cache
def through_a_lens():
    """Grey noise; red and blue are a little larger than green, as a lens with a fault has them."""
    rng = np.random.default_rng(0)
    noise = jnp.asarray(rng.uniform(size=(400, 64, 64, 1)), jnp.float32)
    noise = augment.gaussian_blur(
        augment.example_keys(jax.random.key(0), 400), noise, 7, (1.0, 1.0), 1.0
    )
    low, high = noise.min(), noise.max()
    noise = (noise - low) / (high - low)
    count = jnp.ones(400)
    larger = augment.affine_matrices(0 * count, jnp.zeros((400, 2)), 1.07 * count, 64, 64)
    warped = jax.jit(augment.warp)(noise, larger)
    image = jnp.concatenate([warped, noise, warped], axis=-1)
    return jnp.round(255 * image).astype(jnp.uint8)


def color_offsets(tiles):
    """How far the colours of each tile are displaced: what differs between two opposite shifts."""
    x = tiles - tiles.mean(axis=(2, 3), keepdims=True)
    x = x / np.maximum(x.std(axis=(2, 3), keepdims=True), 1e-6)
    seen = []
    for one, other in ((0, 1), (2, 1), (0, 2)):
        for axis in (2, 3):
            for shift in (1, 2):
                a, b = np.moveaxis(x[..., one], axis, -1), np.moveaxis(x[..., other], axis, -1)
                there = (a[..., shift:] * b[..., :-shift]).mean(axis=(2, 3))
                back = (a[..., :-shift] * b[..., shift:]).mean(axis=(2, 3))
                seen.append(there - back)
    # What rounding alone leaves is no trace of a lens.
    return np.round(np.stack(seen, axis=-1), 5)


CONTEXT = dict(patch=16, gap=4, jitter=2, grids=1, area=(), resample_p=0.0)


def test_the_lens_gives_the_position_of_patches_away():
    tiles = tiles_of(ContextPredictionTask, through_a_lens(), **CONTEXT, color="none")
    assert pair_accuracy(color_offsets(tiles)) > 3 * GUESS_PAIR


@pytest.mark.parametrize("color", ["drop", "project"])
def test_the_lens_says_nothing_once_colours_are_dropped_or_projected(color):
    tiles = tiles_of(ContextPredictionTask, through_a_lens(), **CONTEXT, color=color)
    assert pair_accuracy(color_offsets(tiles)) < GUESS_PAIR + NEAR


JIGSAW = dict(size=64, crop=60, tile=16)
CELLS = np.arange(9)


def cell_accuracy(**changes):
    tiles = tiles_of(JigsawTask, through_a_lens(), **JIGSAW, **changes)
    return accuracy(color_offsets(tiles), CELLS)


def test_the_lens_gives_the_place_of_tiles_away_while_they_have_colours():
    colored = cell_accuracy(gray_p=0.0, projection_p=0.0)
    assert colored > 6 * GUESS_CELL
    assert cell_accuracy(gray_p=1.0) < GUESS_CELL + NEAR
    assert cell_accuracy(gray_p=0.0) < GUESS_CELL + NEAR
    # By default, which has no colours that would not be projected.
    assert cell_accuracy() < GUESS_CELL + NEAR
    # Where grey images alone hide it, some is left.
    assert cell_accuracy(projection_p=0.0) > 2 * GUESS_CELL
    # A shift of every channel hides much of it, and the authors' three together nearly all.
    shifted = cell_accuracy(gray_p=0.0, projection_p=0.0, channel_shift=2)
    assert shifted < GUESS_CELL + 0.35 * (colored - GUESS_CELL)
    mixed = cell_accuracy(gray_p=0.5, projection_p=0.5, channel_shift=2)
    assert mixed < GUESS_CELL + 0.15 * (colored - GUESS_CELL)


def faces(tiles):
    """How unlike the borders of two tiles are that would touch, for each way of touching."""
    a, b = tiles[:, PAIRS[:, 0]], tiles[:, PAIRS[:, 1]]
    border = {-1: slice(0, 1), 0: slice(None), 1: slice(-1, None)}
    seen = []
    for down, right in POSITIONS:
        own = a[:, :, border[down], border[right]]
        other = b[:, :, border[-down], border[-right]]
        seen.append(((own - other) ** 2).mean(axis=(2, 3, 4)))
    return np.stack(seen, axis=-1)


@functools.cache
def noise_of_short_range(side):
    """Nothing in it is alike over more than two pixels."""
    noise = np.random.default_rng(0).uniform(size=(60, side + 1, side + 1, 1))
    alike = (noise[:, 1:, 1:] + noise[:, :-1, 1:] + noise[:, 1:, :-1] + noise[:, :-1, :-1]) / 4
    return jnp.asarray(np.round(255 * alike), jnp.uint8)


def test_edges_that_go_on_give_patches_away_and_a_gap_hides_them():
    same = dict(grids=1, area=(), color="none", resample_p=0.0)
    images = noise_of_short_range(400)
    touching = faces(tiles_of(ContextPredictionTask, images, **same, gap=0, jitter=0))
    assert accuracy(touching, PAIRS[:, 2]) > 3 * GUESS_PAIR
    published = faces(tiles_of(ContextPredictionTask, images, **same))
    assert accuracy(published, PAIRS[:, 2]) < GUESS_PAIR + NEAR


def test_edges_that_go_on_give_tiles_away_and_random_places_in_cells_hide_them():
    images = noise_of_short_range(292)
    touching = faces(tiles_of(JigsawTask, images, crop=192))
    assert accuracy(touching, PAIRS[:, 2]) > 3 * GUESS_PAIR
    published = faces(tiles_of(JigsawTask, images))
    assert accuracy(published, PAIRS[:, 2]) < GUESS_PAIR + NEAR


def test_brightness_and_tint_say_nothing_once_tiles_are_standardised():
    # Light falls from above left, and is red on one side.
    y, x = np.mgrid[:64, :64] / 63
    light = np.stack([0.3 + 0.6 * x, 0.9 - 0.6 * y, np.full_like(x, 0.5)], axis=-1)
    noise = np.random.default_rng(0).uniform(0.5, 1.0, (300, 64, 64, 3))
    images = jnp.asarray(np.round(255 * light * noise), jnp.uint8)

    def seen(**changes):
        tiles = tiles_of(JigsawTask, images, **JIGSAW, gray_p=0.0, projection_p=0.0, **changes)
        return np.concatenate([tiles.mean(axis=(2, 3)), tiles.std(axis=(2, 3))], axis=-1)

    assert accuracy(seen(normalization="view"), CELLS) > 5 * GUESS_CELL
    assert accuracy(np.round(seen(), 4), CELLS) < GUESS_CELL + NEAR
