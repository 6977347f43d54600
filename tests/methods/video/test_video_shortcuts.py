"""What tells the order of frames, or which patches are of one track, without being understood.

A network sees the trace alone: what it is given of each frame are numbers that hold the trace. It
is trained as the method trains, and learns to answer where views are made as the configs for a CPU
say, but for what is done about that trace; with it, the network does as well as a guess, no better
and no worse.
"""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from natural import natural_noise, traces

from ssljax.config import file as config_file
from ssljax.methods.contract import Task
from ssljax.methods.video import REGISTRY

CLIPS, TRACKS, DRAWS, NOISES, NUMBERS = 120, 480, 2, 20, 32
TUPLES, SORTING = "shuffle_and_learn/folder:cpu", "shuffle_and_learn/folder:sorting_cpu"
TRACKING = "tracking/folder:cpu"


def side_of(name):
    return config_file.load(name).data.image_size


@functools.cache
def task_for(name, **without):
    """The task of a config, but for what its head reads and how wide that is, and other keys."""
    config = config_file.load(name).method
    config.update(layer="features", pool=False, embedding_dim=24, hidden_dim=16, **without)
    task = Task((side_of(name), side_of(name), 3), CLIPS, 1, 1.0)
    return REGISTRY[config.name].task_type(config, task, "float32")


@functools.cache
def asker(name, **without):
    return jax.jit(lambda key, clips: task_for(name, **without).ask(key, {"clip": clips}).inputs)


def as_seen(name, clips, read, **without):
    """What is read from what the network is given, of several draws of the views."""
    ask = asker(name, **without)
    return numbers_of(np.concatenate([ask(jax.random.key(n), clips) for n in range(DRAWS)]), read)


def numbers_of(views, read):
    numbers = read(views.reshape(-1, *views.shape[2:])).reshape(*views.shape[:2], -1)
    flat = numbers.reshape(-1, numbers.shape[-1])
    numbers = (numbers - flat.mean(axis=0)) / np.maximum(flat.std(axis=0), 1e-6)
    # As many of every trace, so that the network is compiled once.
    numbers = np.pad(numbers, [(0, 0), (0, 0), (0, NUMBERS - numbers.shape[-1])])
    return jnp.asarray(numbers[:, :, None, None], jnp.float32)


@functools.cache
def learner(name, steps=80):
    """Trains on some clips; gives the task's own score on the others."""
    task = task_for(name)

    def targets(rows, key):
        return {
            "draws": jax.random.uniform(key, (rows, rows, 2, 2)),
            "video": jnp.full((rows,), -1),
            "there": jnp.ones((rows,), bool),
            "hard": jnp.zeros((rows,), jnp.int32),
        }

    def encode(frames):
        return {"features": frames.reshape(len(frames), -1)}

    def answer(variables, rows, train):
        changed = ["batch_stats"] if train else False
        return task.head.apply(variables, encode, rows, train, mutable=changed)

    tx = optax.adamw(1e-2, weight_decay=0.1)

    @jax.jit
    def learn(train, test):
        variables = dict(task.head.init(jax.random.key(0), encode, train[:2], False))
        params, others = variables.pop("params"), variables

        def step(number, carried):
            params, others, state = carried
            key = jax.random.fold_in(jax.random.key(1), number)
            rows = train[jax.random.permutation(key, len(train))[:48]]

            def loss(params):
                outputs, changed = answer({"params": params, **others}, rows, True)
                return task.loss(outputs, targets(len(rows), key))[0], changed

            slopes, changed = jax.grad(loss, has_aux=True)(params)
            updates, state = tx.update(slopes, state, params)
            return optax.apply_updates(params, updates), {**others, **changed}, state

        begin = (params, others, tx.init(params))
        params, others, _ = jax.lax.fori_loop(0, steps, step, begin)
        outputs = answer({"params": params, **others}, test, False)
        (scores,) = task.scores(outputs, targets(len(test), jax.random.key(0))).values()
        return jnp.mean(scores)

    def learnt(numbers):
        count = len(numbers) // DRAWS
        known = np.tile(np.arange(count) < count * 3 // 4, DRAWS)
        with jax.numpy_dtype_promotion("standard"):  # For optax.
            return float(learn(numbers[known], numbers[~known]))

    return learnt


@functools.cache
def still(side):
    """Clips of one frame: noise, of which there are several pieces."""
    noise = np.repeat(natural_noise(NOISES, side), 3, axis=-1)
    return np.tile(noise, (CLIPS // NOISES, 1, 1, 1))[:, None]


def drift(frames, low, high):
    """A quantity that rises or falls evenly through each clip, between two of its values."""
    rng = np.random.default_rng(0)
    ends = np.sort(rng.uniform(low, high, (CLIPS, 2)), axis=1)
    ends = np.where(rng.random((CLIPS, 1)) < 0.5, ends, ends[:, ::-1])
    middle, half = ends.mean(axis=1, keepdims=True), np.ptp(ends, axis=1)[:, None] / 2
    sign = np.sign(ends[:, 1:] - ends[:, :1])
    half = sign * np.maximum(half, (high - low) / 5)
    return middle + half * np.linspace(-1, 1, frames)


def brightening(side, frames):
    levels = drift(frames, 0.6, 1.1)[:, :, None, None, None]
    return np.clip(255 * (0.15 + 0.7 * still(side)) * levels, 0, 255).astype(np.uint8)


def compressed(side, frames):
    """JPEG of a quality that drifts, low enough to be seen once frames are reduced."""
    quality = np.maximum(drift(frames, 2, 20), 1).astype(int)
    bytes_ = np.clip(255 * still(side)[:, 0], 0, 255).astype(np.uint8)
    coded = np.empty((CLIPS, frames, side, side, 3), np.uint8)
    for clip, frame in np.ndindex(*quality.shape):
        asked = [cv2.IMWRITE_JPEG_QUALITY, int(quality[clip, frame])]
        _, file = cv2.imencode(".jpg", bytes_[clip], asked)
        coded[clip, frame] = cv2.imdecode(file, cv2.IMREAD_COLOR)
    return coded


def levels(views):
    return np.concatenate([views.mean(axis=(1, 2)), views.std(axis=(1, 2))], axis=-1)


def bands(views):
    """The energies of many bands."""
    return traces(views.mean(axis=-1)[..., None])[:, :15]


@pytest.mark.parametrize(
    ("film", "read", "without"),
    [
        (brightening, levels, {"standardize": False}),
        (compressed, bands, {"blur": (), "noise": 0.0}),
    ],
)
def test_drifts_tell_the_order_unless_frames_are_standardised_or_blurred_with_noise(
    film, read, without
):
    """Standardised frames do not tell it by brightness, blurred and noisy ones not by quality."""
    # Both forms see frames alike: the first ones of five are a clip for sorting.
    assert task_for(TUPLES).policy == task_for(SORTING).policy
    assert side_of(TUPLES) == side_of(SORTING)
    clips = film(side_of(TUPLES), task_for(TUPLES).frames)
    bare, seen = as_seen(TUPLES, clips, read, **without), as_seen(TUPLES, clips, read)
    for name in (TUPLES, SORTING):
        (chance,) = task_for(name).chance.values()
        learnt, frames = learner(name), task_for(name).frames
        assert learnt(bare[:, :frames]) > chance + 0.25
        # One and a half standard deviations, if all answers about a view of a clip go together.
        near = 1.5 * np.sqrt(chance * (1 - chance) / (CLIPS // 4 * DRAWS))
        assert abs(learnt(seen[:, :frames]) - chance) < near


def bordered(side, most):
    """Both patches of a track show the frame's border on the same sides, and nothing alike else."""
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (TRACKS, 2, side, side, 3), dtype=np.uint8)
    widths = rng.integers(0, most + 1, (TRACKS, 4))
    for clip, (top, bottom, left, right) in zip(clips, widths, strict=True):
        clip[:, :top] = clip[:, side - bottom :] = 0
        clip[:, :, :left] = clip[:, :, side - right :] = 0
    return clips


def edges(views):
    """The mean along each line near the four sides."""
    gray = views.mean(axis=-1)
    lines = gray.mean(axis=2), gray.mean(axis=1)
    return np.concatenate([x[:, near] for x in lines for near in (slice(8), slice(-8, None))], 1)


def test_the_border_of_frames_tells_tracks_unless_it_is_cut_off():
    """Strips are up to as wide as what is cut off; windows are not moved, which would hide them."""
    tracks = bordered(side_of(TRACKING), config_file.load(TRACKING).method.border)
    learnt = learner(TRACKING)
    assert learnt(as_seen(TRACKING, tracks, edges, jitter=0, border=0)) > 0.7
    # Two standard deviations, if each view's share of further patches is evenly spread.
    near = 2 * np.sqrt(1 / 12 / (TRACKS // 4 * DRAWS))
    # Near 0, embeddings would have become the same, and nothing would be further.
    assert abs(learnt(as_seen(TRACKING, tracks, edges, jitter=0)) - 0.5) < near
