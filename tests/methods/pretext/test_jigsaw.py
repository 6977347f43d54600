"""Jigsaw puzzles: the orders, the tiles, the scores, and what is shown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.contract import Task
from ssljax.methods.pretext.jigsaw import JigsawTask, put_in_order

SMALL = dict(
    size=32, crop=30, tile=8, permutations=20, puzzles=3, embedding_dim=6, hidden_dim=7,
)  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def make(channels=3, **changes):
    config = JigsawTask.default_config()
    config.update(SMALL | changes)
    config.view.size = 32
    return JigsawTask(config, Task((32, 32, channels), 4, 1, 1.0), "float32")


def ask(task, images=IMAGES, seed=0):
    make_questions = jax.jit(lambda key, x: task.ask(key, {"image": x}))
    return make_questions(jax.random.key(seed), jnp.asarray(images))


def encode(images):
    """An encoder of tiles: its features are their averages and corners."""
    return {"features": jnp.concatenate([images.mean(axis=(1, 2)), images[:, 0, 0]], axis=-1)}


def perfect(task, labels):
    return {"logits": 10.0 * jax.nn.one_hot(labels, len(task.permutations))}


def test_orders_put_tiles_in_their_places():
    tiles = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 3, 3, 1)), jnp.float32)
    orders = jnp.asarray([[[0, 1, 2, 3], [2, 0, 3, 1]], [[3, 2, 1, 0], [1, 1, 1, 1]]])
    put = put_in_order(tiles, orders)
    for image, puzzle in np.ndindex(2, 2):
        np.testing.assert_array_equal(put[image, puzzle], tiles[image, orders[image, puzzle]])


def test_tiles_come_from_their_cells():
    task = make(normalization="view", gray_p=0.0, projection_p=0.0)
    task.view = task.view.__class__(32, crop_scale=None)  # Bytes over 255, as they are.
    tiles = np.round(255 * np.asarray(ask(task).inputs["tiles"])).astype(int)
    corners = []
    for image, of_image in zip(IMAGES, tiles, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, (8, 8, 3))[:, :, 0]
        for number, tile in enumerate(of_image):
            ((top, left),) = np.argwhere((windows == tile).all(axis=(2, 3, 4)))
            corners.append((top - 10 * (number // 3), left - 10 * (number % 3)))
    # A crop moved by up to 2, and a tile in its cell by up to 2.
    assert np.min(corners) == 0
    assert np.max(corners) == 4


def test_grey_tiles_are_as_many_as_asked_for_and_whole_images():
    images = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    tiles = np.asarray(ask(make(normalization="view"), images).inputs["tiles"])
    view = make().config.view
    mean, std = np.array(view.mean), np.array(view.std)
    pixels = tiles * std + mean
    spread = np.ptp(pixels, axis=-1).max(axis=(2, 3))
    gray = spread < 1e-5
    np.testing.assert_array_equal(gray.all(axis=1), gray.any(axis=1))
    assert gray[:, 0].mean() == pytest.approx(0.66, abs=0.1)
    # The rest have lost green against magenta.
    np.testing.assert_allclose(pixels @ np.array([-1.0, 2.0, -1.0]), 0.0, atol=1e-5)


def test_the_answer_is_the_number_of_the_order():
    task = make()
    question = ask(task)
    assert question.targets.shape == (4, 3)
    np.testing.assert_array_equal(
        question.inputs["orders"], task.permutations[np.asarray(question.targets)]
    )
    # Every image has orders of its own, unless the batch shares them; those are different ones.
    assert len(np.unique(question.targets, axis=0)) > 1
    shared = np.asarray(ask(make(shared=True, puzzles=20)).targets)
    np.testing.assert_array_equal(np.sort(shared, axis=1), np.tile(np.arange(20), (4, 1)))
    assert len(np.unique(shared, axis=0)) == 1
    assert not np.array_equal(shared, ask(make(shared=True, puzzles=20), seed=1).targets)


def test_all_orders_are_drawn():
    images = np.zeros((400, 32, 32, 3), np.uint8)
    counts = np.bincount(np.ravel(ask(make(), images).targets), minlength=20)
    assert counts.sum() == 1200
    assert np.abs(counts - 60).max() < 5 * np.sqrt(60)


def test_the_head_sees_tiles_in_the_order_of_the_puzzle_from_one_encoding():
    task = make(dropout=0.0)
    inputs = ask(task).inputs
    rows = []

    def counting(images):
        rows.append(images.shape[0])
        return encode(images)

    variables = task.head.init(jax.random.key(0), counting, inputs, False)
    rows.clear()
    logits = task.head.apply(variables, counting, inputs, False)["logits"]
    assert rows == [4 * 9]
    assert logits.shape == (4, 3, 20)
    # The same as for tiles that really lie in that order.
    put = jnp.stack([inputs["tiles"][i, inputs["orders"][i, 1]] for i in range(4)])
    straight = jnp.broadcast_to(jnp.arange(9), (4, 1, 9))
    own = task.head.apply(variables, encode, {"tiles": put, "orders": straight}, False)["logits"]
    np.testing.assert_allclose(own[:, 0], logits[:, 1], rtol=1e-5, atol=1e-6)
    assert np.abs(logits[:, 0] - logits[:, 1]).max() > 1e-3


def test_dropout_is_for_training():
    task = make(dropout=0.5)
    inputs = ask(task).inputs
    variables = task.head.init(jax.random.key(0), encode, inputs, False)

    def logits(train, seed):
        rngs = {"dropout": jax.random.key(seed)}
        return np.asarray(task.head.apply(variables, encode, inputs, train, rngs=rngs)["logits"])

    np.testing.assert_array_equal(logits(False, 0), logits(False, 1))
    assert np.abs(logits(True, 0) - logits(True, 1)).max() > 1e-3


def test_the_loss_and_the_scores_are_those_of_their_formulas():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(4, 3, 20)), rng.integers(0, 20, (4, 3))
    task = make()
    outputs = {"logits": jnp.asarray(logits, jnp.float32)}
    loss, _ = task.loss(outputs, jnp.asarray(labels))
    chosen = np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    assert float(loss) == pytest.approx(np.mean(np.log(np.exp(logits).sum(-1)) - chosen), rel=1e-5)
    scores = task.scores(outputs, jnp.asarray(labels))
    said = logits.argmax(axis=-1)
    np.testing.assert_allclose(scores["permutation_accuracy"], (said == labels).mean(axis=1))
    placed = (task.permutations[said] == task.permutations[labels]).mean(axis=(1, 2))
    np.testing.assert_allclose(scores["tile_accuracy"], placed, rtol=1e-6)
    right = task.scores(perfect(task, jnp.asarray(labels)), jnp.asarray(labels))
    np.testing.assert_array_equal([*right.values()], 1.0)


def test_chance_is_the_best_that_one_answer_to_all_has():
    task = make()
    labels = jnp.arange(20)[None]
    always = [
        float(task.scores(perfect(task, jnp.full((1, 20), k)), labels)["tile_accuracy"][0])
        for k in range(20)
    ]
    assert task.chance["tile_accuracy"] == pytest.approx(max(always), rel=1e-5)
    assert task.chance["permutation_accuracy"] == 1 / 20


def test_the_picture_shows_the_tiles_where_the_answer_puts_them():
    task = make()
    question = ask(task)
    shown = np.asarray(task.picture(perfect(task, question.targets), question))
    assert shown.shape == (4, 3, 28, 28, 3)
    np.testing.assert_array_equal(shown[:, 1], shown[:, 2])
    tiles = np.clip(0.5 + np.asarray(question.inputs["tiles"]) / 5.0, 0, 1)
    np.testing.assert_allclose(shown[:, 2, 1:9, 10:18], tiles[:, 1], atol=1e-6)
    first = np.asarray(question.inputs["orders"])[:, 0]
    np.testing.assert_allclose(shown[:, 0, 1:9, 10:18], tiles[np.arange(4), first[:, 1]], atol=1e-6)
    wrong = np.asarray(task.picture(perfect(task, (question.targets + 1) % 20), question))
    assert np.abs(wrong[:, 1] - wrong[:, 2]).max(axis=(1, 2, 3)).min() > 0.1


def test_evaluations_see_whole_images_or_the_average_of_nine_tiles():
    seen = []

    def spy(images):
        seen.append(np.asarray(images))
        return encode(images)

    make().features(spy, jnp.asarray(IMAGES))
    wide, view = IMAGES / 255.0, make().config.view
    np.testing.assert_allclose(seen[0], (wide - view.mean) / view.std, atol=1e-5)

    features = make(probe="tiles", probe_size=32).features(spy, jnp.asarray(IMAGES))["features"]
    tiles = wide[:, 4:28, 4:28].reshape(4, 3, 8, 3, 8, 3).swapaxes(2, 3).reshape(36, 8, 8, 3)
    tiles = (tiles - tiles.mean(axis=(1, 2), keepdims=True)) / tiles.std(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(seen[1], tiles, atol=1e-4)
    of_tiles = np.concatenate([tiles.mean(axis=(1, 2)), tiles[:, 0, 0]], axis=-1)
    np.testing.assert_allclose(features, of_tiles.reshape(4, 9, 6).mean(axis=1), atol=1e-4)


def test_impossible_keys_are_told():
    for changes, told in (
        (dict(normalization="batch"), "method.normalization must be one of"),
        (dict(probe="best"), "method.probe must be one of"),
        (dict(embedding="gelu"), "method.embedding must be one of"),
        (dict(permutations=1), "at least 2 permutations"),
        (dict(permutations=25, cells=2, crop=20), "24 permutations, so there is no set of 25"),
        (dict(shared=True, puzzles=21), "21 different permutations cannot be drawn"),
        (dict(channels=2, projection_p=0.5), "1 or 3 channels, and these have 2"),
        (dict(probe="tiles", probe_size=23), "3 tiles of 8 pixels do not fit"),
        (dict(crop=33), "A crop of 33 pixels does not fit in 32"),
        (dict(tile=11), "a tile of 11 pixels does not fit in a cell of 10"),
    ):
        with pytest.raises(ValueError, match=told):
            make(**changes)
