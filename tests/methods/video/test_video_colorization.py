"""Video colorization: what is seen, how clusters come about, loss, marks and tracker."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.color import rgb2lab

from ssljax.config.base import base_config
from ssljax.methods.contract import Task, Turn
from ssljax.methods.protocols import Tracker
from ssljax.methods.video.video_colorization import VideoColorization
from ssljax.run.step import init_state, make_step

BATCH, FRAMES, SIDE, STRIDE = 4, 4, 16, 4
PLACES = SIDE // STRIDE
TASK = Task(image_shape=(SIDE, SIDE, 3), batch_size=BATCH, total_steps=60, steps_per_epoch=4)
PAINTS = np.array([[230, 30, 40], [20, 40, 220], [240, 220, 30], [10, 10, 10]], np.uint8)


def clips(seed=0):
    """Blocks of four colours, which move along by a block from frame to frame, at random."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 4, (BATCH, 1, PLACES, PLACES))
    moves = np.concatenate([np.roll(blocks, n, axis=3) for n in range(FRAMES)], axis=1)
    return PAINTS[np.kron(moves, np.ones((1, 1, STRIDE, STRIDE), int))]


def make(**changes):
    config = base_config("video_colorization")
    config.batch_size, config.steps = BATCH, 60
    config.method.update(clusters=4, cluster_steps=2, points=16, embedding_dim=8, head_layers=0)
    config.method.update(changes)
    config.method.view.size = SIDE
    config.model.encoder.update(name="small", widths=(4, 8), output_stride=0)
    config.optimizer.update(
        name="adam", learning_rate=0.02, schedule="constant", warmup_epochs=0.0, exclude=()
    )
    return VideoColorization(config, TASK)


@functools.cache
def plain():
    method = make()
    return method, jax.jit(lambda: init_state(method, jax.random.key(0)))()


@functools.cache
def answered():
    """A question, and the untrained network's embeddings about it."""
    method, state = plain()

    def answer(clip):
        question = method.pretext.ask(jax.random.key(0), {"clip": clip})
        weights = {"params": state.params["online"], **state.variables["online"]}
        return question, method.network.apply(weights, question.inputs, False)

    return jax.jit(answer)(clips())


def test_lightness_is_seen_and_the_colours_of_single_pixels_are_known():
    (inputs, targets), _ = answered()
    lab = rgb2lab(clips())
    np.testing.assert_allclose(inputs["lightness"], (lab[..., :1] - 50) / 100, atol=1e-4)
    assert set(inputs) == {"lightness"}
    np.testing.assert_allclose(targets["ab"], lab[:, :, ::STRIDE, ::STRIDE, 1:], atol=1e-3)


def test_all_frames_of_a_clip_are_cut_and_mirrored_alike():
    method = make()
    pretext = method.pretext
    still = jnp.asarray(np.repeat(clips()[:, :1], FRAMES, axis=1))
    pretext.view = type(pretext.view)(SIDE, crop_scale=(0.3, 0.8), flip_p=0.5)
    view = np.asarray(pretext.ask(jax.random.key(1), {"clip": still}).targets["view"])
    np.testing.assert_array_equal(view, np.repeat(view[:, :1], FRAMES, axis=1))
    assert np.abs(view[:, 0] - still[:, 0] / 255).max() > 0.2
    with pytest.raises(ValueError, match=r"clips have 3 frames.*set data.frames=4"):
        pretext.ask(jax.random.key(1), {"clip": still[:, :3]})


@functools.cache
def trained():
    """States before and after each step, and the metrics of each."""
    method, state = plain()
    step = jax.jit(make_step(method))
    states, logged = [state], []
    for number in range(60):
        batch = {"images": {"clip": jnp.asarray(clips(number)[:, None])}}
        state, scalars = step(states[-1], batch)
        states = [*states[:4], state]
        logged.append({name: float(x) for name, x in scalars.items()})
    return states, logged


def test_the_first_steps_find_the_clusters_and_move_nothing():
    states, logged = trained()
    for a, b in zip(
        jax.tree.leaves(states[0].params), jax.tree.leaves(states[2].params), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert [logged[n]["online/loss"] for n in range(2)] == [0, 0]
    assert not np.any(states[1].memory["clusters"])
    found = np.asarray(states[2].memory["clusters"])
    expected = rgb2lab(PAINTS[None])[0, :, 1:]
    np.testing.assert_allclose(
        found[np.argsort(found[:, 0])], expected[np.argsort(expected[:, 0])], atol=0.5
    )
    np.testing.assert_array_equal(states[3].memory["clusters"], found)
    np.testing.assert_array_equal(states[3].memory["samples"], states[2].memory["samples"])


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def loss_of(method, state, key, clip):
    question = method.pretext.ask(key, {"clip": clip})
    return question, *method.loss(state.params["online"], Turn(state, question, key))


def test_the_loss_is_that_of_the_nearest_clusters_copied_from_three_frames():
    method, _ = plain()
    state = trained()[0][3]
    key = jax.random.key(2)
    question, loss, aux = jax.jit(lambda clip: loss_of(method, state, key, clip))(clips(9))
    weights = {"params": state.params["online"], **state.variables["online"]}
    apply = jax.jit(functools.partial(method.network.apply, train=True, mutable=["batch_stats"]))
    outputs, _ = apply(weights, question.inputs)
    embeddings = np.asarray(outputs["embeddings"], np.float64).reshape(BATCH, FRAMES, -1, 8)
    centres = np.asarray(state.memory["clusters"], np.float64)
    ab = np.asarray(question.targets["ab"], np.float64).reshape(BATCH, FRAMES, -1, 1, 2)
    classes = np.argmin(np.linalg.norm(ab - centres, axis=-1), axis=-1)
    total, right = 0.0, 0
    for clip in range(BATCH):
        sources = embeddings[clip, :-1].reshape(-1, 8)
        scores = embeddings[clip, -1] @ sources.T
        known = np.eye(4)[classes[clip, :-1].ravel()]
        truth = classes[clip, -1]
        total -= np.log((softmax(scores) @ known)[np.arange(PLACES**2), truth]).sum()
        right += (np.argmax(softmax(scores / 0.5) @ known, axis=1) == truth).sum()
    np.testing.assert_allclose(loss, total / (BATCH * PLACES**2), rtol=1e-4)
    assert float(aux.metrics["cluster_accuracy"]) == pytest.approx(right / (BATCH * PLACES**2))


def test_it_learns_where_colours_have_gone():
    _, logged = trained()
    assert logged[2]["online/loss"] > 1.0  # ln 4 for four colours of equal shares.
    assert logged[-1]["online/loss"] < 0.4
    assert logged[-1]["online/cluster_accuracy"] > 0.95


def test_marks_are_of_what_is_copied_and_a_guess_is_the_frame_before():
    method, _ = plain()
    question, outputs = answered()
    pretext, lab = method.pretext, rgb2lab(clips())[:, :, ::STRIDE, ::STRIDE]
    ab, moves = lab[..., 1:], np.abs(lab[:, -1, ..., 0] - lab[:, -2, ..., 0]) > 10
    assert 0 < moves.mean() < 1
    bins = pretext.coding.bins.astype(np.float64)
    nearest = np.argmin(np.linalg.norm(ab[..., None, :] - bins, axis=-1), axis=-1)
    embeddings = np.asarray(outputs["embeddings"], np.float64)
    said, voted = np.zeros((2, BATCH, PLACES, PLACES, 2)), np.zeros((BATCH, PLACES, PLACES), int)
    for clip in range(BATCH):
        shares = softmax(
            embeddings[clip, -1].reshape(-1, 8) @ embeddings[clip, :-1].reshape(-1, 8).T / 0.5
        )
        said[0, clip] = (shares @ ab[clip, :-1].reshape(-1, 2)).reshape(PLACES, PLACES, 2)
        votes = shares @ np.eye(len(bins))[nearest[clip, :-1].ravel()]
        voted[clip] = votes.argmax(axis=1).reshape(PLACES, PLACES)
    said[1] = ab[:, -2]
    scores, guesses, picture = jax.jit(
        lambda: (
            pretext.scores(outputs, question.targets),
            pretext.guess(question),
            pretext.picture(outputs, question),
        )
    )()
    for marks, classes, values in (
        (scores, voted, said[0]),
        (guesses, nearest[:, -2], said[1]),
    ):
        right = classes == nearest[:, -1]
        close = np.clip(1 - np.linalg.norm(values - ab[:, -1], axis=-1) / 150, 0, None)
        for name, told, tolerance in (("accuracy", right, 1e-6), ("closeness", close, 1e-4)):
            expected = told.mean(axis=(1, 2)), told.mean(axis=(1, 2), where=moves)
            found = marks[f"color_{name}"], marks[f"moving_{name}"]
            np.testing.assert_allclose(found, expected, atol=tolerance)
    picture = np.asarray(picture)
    assert picture.shape == (BATCH, 4, SIDE, SIDE, 3)
    np.testing.assert_allclose(picture[:, [0, 3]], clips()[:, [2, 3]] / 255, atol=1e-6)
    np.testing.assert_allclose(np.ptp(picture[:, 1], axis=-1), 0, atol=2e-3)


def between(line):
    return np.interp(np.arange(SIDE), np.arange(0, SIDE, STRIDE), line)


def test_the_tracker_copies_labels_from_the_three_frames_before():
    method, state = plain()
    assert isinstance(method, Tracker)
    _, outputs = answered()
    frames = clips()
    things = np.eye(3)[np.random.default_rng(3).integers(0, 3, (BATCH, PLACES, PLACES))]
    first = np.kron(things, np.ones((1, STRIDE, STRIDE, 1)))
    known = jax.jit(method.start_track)(state, frames[:, 0], jnp.float32(first))
    track = jax.jit(method.track)
    embeddings = np.asarray(outputs["embeddings"], np.float64).reshape(BATCH, FRAMES, -1, 8)
    labels = [things.reshape(BATCH, -1, 3)]
    for frame in range(1, FRAMES):
        before = [max(frame - back, 0) for back in (3, 2, 1)]
        sources = np.concatenate([embeddings[:, n] for n in before], axis=1)
        copied = np.concatenate([labels[n] for n in before], axis=1)
        shares = softmax(embeddings[:, frame] @ sources.swapaxes(1, 2) / 0.5)
        labels.append(shares @ copied)
        expected = labels[-1].reshape(BATCH, PLACES, PLACES, 3)
        # A place has the label of the pixel whose colour would be asked for; it is linear between.
        for axis in (1, 2):
            expected = np.apply_along_axis(between, axis, expected)
        known, found = track(state, known, frames[:, frame])
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"points": 1, "cluster_steps": 0}, "found by 0 colours, fewer than method.clusters=4"),
        ({"cluster_steps": 60}, "cluster_steps=60 train steps only collect"),
        ({"references": 0}, "method.references is 0"),
    ],
)
def test_what_cannot_be_is_told(changes, told):
    with pytest.raises(ValueError, match=told):
        make(**changes)
