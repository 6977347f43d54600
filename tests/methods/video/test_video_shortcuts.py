"""What tells the order of frames, or which patches are of one track, without being understood.

A network sees the trace alone: what it is given of each frame are numbers that hold the trace. It
is trained as the method trains, and learns to answer where nothing is done about the trace, but
does no better than a guess where the method does as it does by default.
"""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from natural import natural_noise, traces

from ssljax.methods.contract import Task
from ssljax.methods.video.shuffle_and_learn import ShuffleAndLearnTask
from ssljax.methods.video.tracking import TrackingTask

SIDE, WINDOW, CLIPS = 28, 16, 240
DRAWS = 2
NOTHING = dict(standardize=False, channel_splitting=False, blur=(), noise=0.0, jitter=0, border=0)
HEAD = dict(embedding_dim=24, hidden_dim=16)
NEAR = 0.1
"""Some two standard deviations of the accuracy on so many clips, if a clip's answers go together.
"""


def task_for(kind, **changes):
    config = kind.default_config()
    config.view.size = WINDOW
    config.update(HEAD | changes)
    return kind(config, Task((SIDE, SIDE, 3), CLIPS, 1, 1.0), "float32")


def seen(task, clips, read):
    """What the network is given, of several draws of the views, read from every frame."""
    ask = jax.jit(lambda key, clips: task.ask(key, {"clip": clips}).inputs)
    drawn = np.concatenate([ask(jax.random.key(draw), clips) for draw in range(DRAWS)], axis=0)
    numbers = read(drawn.reshape(-1, *drawn.shape[2:])).reshape(*drawn.shape[:2], -1)
    flat = numbers.reshape(-1, numbers.shape[-1])
    numbers = (numbers - flat.mean(axis=0)) / np.maximum(flat.std(axis=0), 1e-6)
    return jnp.asarray(numbers, jnp.float32)


def learnt(task, numbers, steps=150):
    """The task's own score on the clips that were not trained on."""
    numbers = numbers[:, :, None, None]
    known = np.tile(np.arange(CLIPS) < CLIPS * 3 // 4, DRAWS)
    train, test = numbers[known], numbers[~known]

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

    variables = task.head.init(jax.random.key(0), encode, train[:2], False)
    params, others = variables.pop("params"), variables
    tx = optax.adamw(1e-2, weight_decay=0.1)

    @jax.jit
    def go(params, others):
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

        return jax.lax.fori_loop(0, steps, step, (params, others, tx.init(params)))[:2]

    with jax.numpy_dtype_promotion("standard"):  # For optax.
        params, others = go(params, others)
    outputs = answer({"params": params, **others}, test, False)
    scores = task.scores(outputs, targets(len(test), jax.random.key(0)))
    return float(np.mean(next(iter(scores.values()))))


@functools.cache
def still(frames):
    """Clips in which nothing moves, each of a noise of its own."""
    noise = natural_noise(CLIPS, SIDE)
    return np.repeat(np.repeat(noise, 3, axis=-1)[:, None], frames, axis=1)


def drift(frames, low, high):
    """A quantity that rises or falls evenly through each clip, between two of its values."""
    rng = np.random.default_rng(0)
    ends = np.sort(rng.uniform(low, high, (CLIPS, 2)), axis=1)
    ends = np.where(rng.random((CLIPS, 1)) < 0.5, ends, ends[:, ::-1])
    middle, half = ends.mean(axis=1, keepdims=True), np.ptp(ends, axis=1)[:, None] / 2
    sign = np.sign(ends[:, 1:] - ends[:, :1])
    half = sign * np.maximum(half, (high - low) / 5)
    return middle + half * np.linspace(-1, 1, frames)


def brightening(frames):
    levels = drift(frames, 0.6, 1.1)[:, :, None, None, None]
    return np.clip(255 * (0.15 + 0.7 * still(frames)) * levels, 0, 255).astype(np.uint8)


def compressed(frames):
    """JPEG of a quality that drifts."""
    quality = np.clip(drift(frames, 5, 85), 5, 95).astype(int)
    bytes_ = np.clip(255 * still(frames), 0, 255).astype(np.uint8)
    coded = np.empty_like(bytes_)
    for clip, frame in np.ndindex(*quality.shape):
        asked = [cv2.IMWRITE_JPEG_QUALITY, int(quality[clip, frame])]
        _, file = cv2.imencode(".jpg", bytes_[clip, frame], asked)
        coded[clip, frame] = cv2.imdecode(file, cv2.IMREAD_COLOR)
    return coded


def levels(views):
    return np.concatenate([views.mean(axis=(1, 2)), views.std(axis=(1, 2))], axis=-1)


def blocks(views):
    """Energies of many bands, and how unlike neighbours are at the edges of blocks of 8."""
    gray = views.mean(axis=-1)
    found = [traces(gray[..., None])]
    for axis in (1, 2):
        steps = np.moveaxis(np.abs(np.diff(gray, axis=axis)), axis, -1).mean(axis=1)
        phases = np.stack([steps[:, phase::8].mean(axis=1) for phase in range(8)], axis=1)
        phases = np.sort(phases, axis=1) / (phases.mean(axis=1, keepdims=True) + 1e-9)
        found.append(phases)
    return np.concatenate(found, axis=1)


# Of two frames and more alone can be said what is between: the tuples need a layer on all three.
TUPLES, SORTING = dict(positives=0.5, order_dim=16), dict(form="sorting")


@pytest.mark.parametrize(
    ("form", "clips", "read"), [(TUPLES, brightening, levels), (SORTING, compressed, blocks)]
)
def test_a_drift_of_brightness_or_quality_tells_the_order_and_by_default_nothing(form, clips, read):
    careless = task_for(ShuffleAndLearnTask, **form | NOTHING)
    careful = task_for(ShuffleAndLearnTask, **form)
    made = clips(careful.frames)
    (chance,) = careful.chance.values()
    assert learnt(careless, seen(careless, made, read)) > chance + 0.2
    assert abs(learnt(careful, seen(careful, made, read)) - chance) < NEAR


def bordered():
    """Both patches of a track show the frame's border on the same sides, and nothing alike else."""
    rng = np.random.default_rng(0)
    side = WINDOW + 2 * 14  # By default a border of 8 and windows that move by 6.
    clips = rng.integers(0, 256, (CLIPS, 2, side, side, 3), dtype=np.uint8)
    widths = rng.integers(0, 7, (CLIPS, 4))
    for clip, (top, bottom, left, right) in zip(clips, widths, strict=True):
        clip[:, :top] = clip[:, side - bottom :] = 0
        clip[:, :, :left] = clip[:, :, side - right :] = 0
    return clips


def edges(views):
    """The mean along each line near the four sides."""
    gray = views.mean(axis=-1)
    lines = gray.mean(axis=2), gray.mean(axis=1)
    return np.concatenate([x[:, near] for x in lines for near in (slice(8), slice(-8, None))], 1)


def test_the_border_of_frames_tells_tracks_and_by_default_nothing():
    tracks = bordered()
    careless = task_for(TrackingTask, **NOTHING | dict(crop=tracks.shape[2]))
    careful = task_for(TrackingTask)
    assert learnt(careless, seen(careless, tracks, edges)) > 0.8
    # Without anything to learn, embeddings may become the same: then nothing is nearer.
    assert learnt(careful, seen(careful, tracks, edges)) < 0.5 + NEAR
