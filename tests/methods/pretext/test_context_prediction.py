"""Context prediction: the pairs, the patches, the loss, and what is shown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.contract import Task
from ssljax.methods.pretext.context_prediction import (
    POSITIONS,
    ContextPredictionTask,
    neighbor_pairs,
)

SMALL = dict(
    patch=8, gap=3, jitter=1, grids=2, area=(), rms=1.0, resample_p=0.0, color="none",
    embedding_dim=6, hidden_dim=5,
)  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 36, 36, 3), dtype=np.uint8)


def make(channels=3, **changes):
    config = ContextPredictionTask.default_config()
    config.update(SMALL | changes)
    config.view.size = 36
    return ContextPredictionTask(config, Task((36, 36, channels), 4, 1, 1.0), "float32")


def ask(task, images=IMAGES, seed=0):
    make_questions = jax.jit(lambda key, x: task.ask(key, {"image": x}))
    return make_questions(jax.random.key(seed), jnp.asarray(images))


@pytest.mark.parametrize(("cells", "count"), [(2, 12), (3, 40), (4, 84)])
def test_every_pair_of_neighbours_is_asked_about_in_both_orders(cells, count):
    pairs = neighbor_pairs(cells)
    assert len(pairs) == count
    places = np.stack(np.divmod(pairs[:, :2], cells), axis=-1)
    np.testing.assert_array_equal(places[:, 1] - places[:, 0], np.array(POSITIONS)[pairs[:, 2]])
    assert {(a, b, 7 - answer) for a, b, answer in pairs} == {(b, a, c) for a, b, c in pairs}
    assert len({(a, b) for a, b, _ in pairs}) == count


def find(patch, image):
    """Where a patch was cut out, by trying every place."""
    side = len(patch)
    windows = np.lib.stride_tricks.sliding_window_view(image / 255.0, (side, side, 3))[:, :, 0]
    windows = windows - windows.mean(axis=(2, 3), keepdims=True)
    windows /= np.sqrt((windows**2).mean(axis=(2, 3, 4), keepdims=True))
    off = ((windows - patch) ** 2).mean(axis=(2, 3, 4))
    assert off.min() < 1e-8
    return np.unravel_index(np.argmin(off), off.shape)


def test_patches_lie_on_a_jittered_grid_at_a_random_place():
    patches = np.asarray(ask(make()).inputs, np.float64)
    assert patches.shape == (4, 18, 8, 8, 3)
    lattice = np.stack(np.divmod(np.arange(9), 3), axis=1) * 11
    origins = []
    for image, of_image in zip(IMAGES, patches.reshape(4, 2, 9, 8, 8, 3), strict=True):
        for grid in of_image:
            places = np.array([find(patch, image) for patch in grid]) - lattice
            assert np.ptp(places, axis=0).max() <= 2
            origins.append(tuple(places.mean(axis=0).round()))
    assert len(set(origins)) > 3


def test_the_patches_of_a_resized_ramp_are_ramps():
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (8, 200, 200, 3))
    patches = np.asarray(ask(make(grids=1, area=(3600.0, 19600.0)), ramp).inputs)
    even = np.arange(8) - 3.5  # Whatever the scale, since the root mean square is 1.
    even = (even / np.sqrt((even**2).mean()))[None, None, None, :, None]
    np.testing.assert_allclose(patches, np.broadcast_to(even, patches.shape), atol=0.1)


def entropies(logits, answers):
    logits = np.asarray(logits, np.float64)
    chosen = np.take_along_axis(logits, np.broadcast_to(answers, logits.shape[:-1])[..., None], -1)
    return np.log(np.exp(logits).sum(axis=-1)) - chosen[..., 0]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_loss_is_over_all_pairs_of_the_batch(reduction):
    logits = np.random.default_rng(0).normal(size=(4, 2, 40, 8)).astype(np.float32)
    task = make(reduction=reduction)
    loss, logged = task.loss({"logits": jnp.asarray(logits)}, ())
    each = entropies(logits, neighbor_pairs(3)[:, 2])
    assert float(loss) == pytest.approx(getattr(np, reduction)(each), rel=1e-5)
    assert float(logged["entropy"]) == pytest.approx(each.mean(), rel=1e-5)
    scores = task.scores({"logits": jnp.asarray(logits)}, ())["position_accuracy"]
    right = logits.argmax(axis=-1) == neighbor_pairs(3)[:, 2]
    np.testing.assert_allclose(scores, right.mean(axis=(1, 2)), rtol=1e-6)


def test_a_guess_has_what_the_most_frequent_answer_has():
    task = make()
    every = [
        float(task.scores({"logits": jnp.broadcast_to(jnp.eye(8)[k], (1, 1, 40, 8))}, ())[
            "position_accuracy"][0])
        for k in range(8)
    ]  # fmt: skip
    assert task.chance["position_accuracy"] == pytest.approx(max(every)) == pytest.approx(0.15)


def encode(images):
    """An encoder of patches: its features are their averages and corners."""
    return {"features": jnp.concatenate([images.mean(axis=(1, 2)), images[:, 0, 0]], axis=-1)}


def test_pairs_are_seen_in_their_order_and_patches_are_encoded_once():
    task = make()
    inputs = ask(task).inputs
    rows = []

    def counting(images):
        rows.append(images.shape[0])
        return encode(images)

    variables = task.head.init(jax.random.key(0), counting, inputs, False)
    rows.clear()
    logits = task.head.apply(variables, counting, inputs, False)["logits"]
    assert rows == [4 * 18]
    # Without the other patches of its grid, a pair is answered alike.
    pairs = neighbor_pairs(3)
    number = 17
    first, second = pairs[number, :2]
    alone = jnp.zeros_like(inputs).at[:, 9 + first].set(inputs[:, 9 + first])
    alone = alone.at[:, 9 + second].set(inputs[:, 9 + second])
    own = task.head.apply(variables, encode, alone, False)["logits"][:, 1, number]
    np.testing.assert_allclose(own, logits[:, 1, number], rtol=1e-5)
    (back,) = np.flatnonzero((pairs[:, 0] == second) & (pairs[:, 1] == first))
    assert np.abs(logits[:, 1, number] - logits[:, 1, back]).max() > 1e-3


def test_the_picture_shows_neighbours_where_they_are_said_to_be():
    task = make()
    question = ask(task)
    pairs = neighbor_pairs(3)
    right = jnp.broadcast_to(10.0 * jnp.eye(8)[pairs[:, 2]], (4, 2, 40, 8))
    shown = np.asarray(task.picture({"logits": right}, question))
    assert shown.shape == (4, 2, 28, 28, 3)
    np.testing.assert_array_equal(shown[:, 0], shown[:, 1])
    np.testing.assert_array_equal(
        shown[:, 0, 10:18, 10:18], np.clip(0.5 + question.inputs[:, 4] / 5.0, 0, 1)
    )
    # All neighbours are said to lie above left: there is one, and around the middle nothing.
    wrong = jnp.zeros((4, 2, 40, 8)).at[..., 0].set(1.0)
    said = np.asarray(task.picture({"logits": wrong}, question))[:, 1]
    np.testing.assert_array_equal(said[:, 10:18, 19:27], 0.5)
    assert np.ptp(said[:, 1:9, 1:9]) > 0.5


def test_whole_images_are_normalised_as_patches_are():
    seen = []
    make(rms=50.0).features(lambda x: seen.append(np.asarray(x)) or {}, jnp.asarray(IMAGES))
    np.testing.assert_allclose(seen[0].mean(axis=(1, 2)), 0.0, atol=1e-3)
    np.testing.assert_allclose(np.sqrt((seen[0] ** 2).mean(axis=(1, 2, 3))), 50.0, rtol=1e-4)


def test_impossible_keys_are_told():
    for changes, told in (
        (dict(color="grey"), "method.color must be one of"),
        (dict(reduction="max"), "method.reduction must be 'sum' or 'mean'"),
        (dict(area=(9.0,)), "method.area must be"),
        (dict(cells=1), "at least 2 patches a side"),
        (dict(channels=1, color="drop"), "needs images of 3 channels, and these have 1"),
    ):
        with pytest.raises(ValueError, match=told):
            make(**changes)
    with pytest.raises(ValueError, match="a grid of 42 pixels does not fit in images of 36x36"):
        ask(make(gap=8))
    task = make(layer="stage9")
    with pytest.raises(ValueError, match=r"method\.layer is 'stage9': it must be one of"):
        task.head.init(jax.random.key(0), encode, ask(task).inputs, False)
