"""CPC: its grid, what a prediction may see of it, and the leak of batch norm."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import ViewPolicy
from ssljax.methods.contract import Task
from ssljax.methods.pretext.cpc import CPCTask, side_by_side
from ssljax.methods.pretext_task import EncoderWithTask
from ssljax.models import BatchNorm, LayerNorm

SIZE, PATCH, STRIDE, SIDE = 16, 8, 2, 5
TASK = Task(image_shape=(SIZE, SIZE, 3), batch_size=4, total_steps=1, steps_per_epoch=1)


def task_for(**changes):
    config = CPCTask.default_config()
    config.view = ConfigDict(dataclasses.asdict(ViewPolicy(SIZE, crop_scale=None, flip_p=0.0)))
    config.update(patch_size=PATCH, patch_stride=STRIDE, skip_rows=1, predict_rows=2)
    config.update(context_width=6, context_blocks=2, target_dim=4, prediction_scale=1.0)
    config.update(changes)
    return CPCTask(config, TASK, "float32")


def images_for(batch, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.integers(0, 256, (batch, SIZE, SIZE, 3), dtype=np.uint8))


def network_for(task, **options):
    return EncoderWithTask(models.build_encoder("small", widths=(6, 8), **options), task.head)


def test_questions_are_the_patches_and_do_not_depend_on_the_batch():
    task = task_for()
    images = images_for(4)
    ask = jax.jit(lambda images: task.ask(jax.random.key(3), {"image": images}))
    question = ask(images)
    assert question.inputs.shape == (4, SIDE, SIDE, PATCH, PATCH, 3)
    np.testing.assert_allclose(
        question.targets[1, 3, 2], images[1, 6:14, 4:12].astype(jnp.float32) / 255, atol=1e-6
    )
    np.testing.assert_allclose(ask(images[:2]).inputs, question.inputs[:2], atol=1e-5)
    # Two of the three channels of every patch are dropped; the patches of an image differ in it.
    kept = np.any(np.asarray(question.inputs) != 0, axis=(3, 4))
    assert np.all(kept.sum(-1) <= 1)
    assert len(np.unique(kept[0].reshape(-1, 3), axis=0)) > 1


@pytest.mark.parametrize("norm", [LayerNorm, BatchNorm])
def test_a_prediction_sees_no_pixel_below_its_row_unless_batch_norm_tells(norm):
    task = task_for(directions=1)
    network = network_for(task, norm=norm)
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=(2, SIDE, SIDE, PATCH, PATCH, 3)))
    inputs = inputs.astype(jnp.float32)
    variables = network.init(jax.random.key(0), inputs, False)

    def said(inputs, row):
        outputs, _ = network.apply(variables, inputs, True, mutable=["batch_stats"])
        return jnp.sum(outputs["predictions"][0, 0, :, row] ** 2)

    slopes = jax.jit(jax.grad(said))
    for row in range(SIDE - 1):
        slope = np.abs(slopes(inputs, row)).sum((2, 3, 4, 5))
        assert slope[0, row] > 0
        assert bool(slope[0, row + 1 :].any()) == (norm is BatchNorm)
        assert bool(slope[1].any()) == (norm is BatchNorm), "another image"


def test_the_encoder_is_built_with_the_norm_that_does_not_leak():
    assert task_for().encoder_options == {"norm": LayerNorm}


class Tiny(nn.Module):
    """Encodes and predicts patches by one layer each, with a norm between."""

    norm: models.NormFactory

    @nn.compact
    def __call__(self, patches):
        """(images, 2, values) to what is there and what is said of the second patch."""
        batch = patches.shape[0]
        # The patches of one image make a group of the batch norm.
        rows = nn.Dense(32)(patches.swapaxes(0, 1).reshape(2 * batch, -1))
        latents = self.norm(name="norm")(rows, True).reshape(2, batch, -1).swapaxes(0, 1)
        latents = nn.tanh(latents)
        there = nn.Dense(16)(latents)[:, :, None]
        return nn.Dense(16)(latents[:, :1])[:, :, None], there


@pytest.mark.parametrize(("leaky", "least", "most"), [(True, 0.5, 1.0), (False, 0.0, 0.04)])
def test_statistics_of_the_other_patches_solve_the_task_with_batch_norm_alone(leaky, least, most):
    """Patches of noise say nothing of each other; only shared statistics can.

    Here they are those of one image's patches, as on a device that has one image.
    """
    batch = 32

    def norm(name):
        return BatchNorm(groups=batch, name=name) if leaky else LayerNorm(name=name)

    network, tx = Tiny(norm), optax.adam(1e-2)

    def draw(key):
        return jax.random.normal(key, (batch, 2, 12))

    variables = network.init(jax.random.key(0), draw(jax.random.key(0)))
    params, rest = variables["params"], {k: v for k, v in variables.items() if k != "params"}

    def answer(params, key):
        (said, there), _ = network.apply(
            {"params": params, **rest}, draw(key), mutable=["batch_stats"]
        )
        return said, there

    @jax.jit
    def step(params, opt_state, key):
        gradient = jax.grad(lambda p: losses.predictive_coding(*answer(p, key), 1))(params)
        updates, opt_state = tx.update(gradient, opt_state)
        return optax.apply_updates(params, updates), opt_state

    opt_state = tx.init(params)
    with jax.numpy_dtype_promotion("standard"):
        for number in range(400):
            params, opt_state = step(params, opt_state, jax.random.key(number))

    right = []
    for number in range(20):
        said, there = answer(params, jax.random.key(10_000 + number))
        logits = said.reshape(batch, -1) @ there.reshape(2 * batch, -1).T
        right.append(jnp.mean(jnp.argmax(logits, axis=1) == 2 * jnp.arange(batch) + 1))
    # Chance is 1 / 64.
    assert least <= np.mean(right) <= most


def test_directions_are_turns_of_the_grid_and_every_patch_is_itself():
    """An answer that is right for every direction has the full mark and no loss."""
    task = task_for(directions=4, predict_rows=3)
    there = np.stack([np.rot90(np.eye(25).reshape(5, 5, 25), turns) for turns in range(4)])
    said = np.zeros((4, 3, 5, 5, 25))
    for number, offset in enumerate((2, 3, 4)):
        said[:, number, : SIDE - offset] = 50 * there[:, offset:]
    outputs = {
        "targets": jnp.asarray(there, jnp.float32)[None],
        "predictions": jnp.asarray(said, jnp.float32)[None],
    }
    assert task.scores(outputs, ())["patch_accuracy"] == 1.0
    assert task.loss(outputs, ())[0] < 1e-5
    guess = {name: jnp.zeros_like(x) for name, x in outputs.items()}
    np.testing.assert_allclose(task.loss(guess, ())[0], np.log(25), rtol=1e-5)
    assert task.scores(guess, ())["patch_accuracy"] < 0.1
    assert task.chance == {"patch_accuracy": 1 / 25}


def test_head_turns_its_grid_by_direction():
    task = task_for(directions=4)
    inputs = jnp.zeros((1, SIDE, SIDE, PATCH, PATCH, 3)).at[0, 0, 4].set(1.0)  # One at top right.
    network = network_for(task, norm=LayerNorm)
    variables = network.init(jax.random.key(0), inputs, False)
    targets = network.apply(variables, inputs, False)["targets"][0]
    odd = [np.argwhere(np.abs(grid - grid[2, 2]).sum(-1) > 1e-6) for grid in np.asarray(targets)]
    assert [place.tolist() for place in odd] == [[[0, 4]], [[0, 0]], [[4, 0]], [[4, 4]]]


def test_features_of_whole_images_are_those_of_their_patches_side_by_side():
    task = task_for()
    images = images_for(2)
    encoder = models.build_encoder("small", widths=(6, 8), norm=LayerNorm)
    variables = encoder.init(jax.random.key(0), jnp.zeros((1, PATCH, PATCH, 3)), False)

    def encode(x):
        return encoder.apply(variables, x, False)

    outputs = task.features(encode, images)
    patch = augment.to_float(images)[1:, 4:12, 2:10]  # Row 2, column 1 of the grid.
    alone = encode(patch)
    assert outputs["stage1"].shape == (2, SIDE * 4, SIDE * 4, 6)
    np.testing.assert_allclose(outputs["stage1"][1, 8:12, 4:8], alone["stage1"][0], atol=1e-5)
    np.testing.assert_allclose(
        outputs["features"], outputs["stage2"].mean((1, 2)), rtol=1e-4, atol=1e-5
    )


def test_picture_shows_what_is_chosen():
    task = task_for(directions=1, color_drop_p=0.0, operations=0, shear_p=0, jitter_p=0, gray_p=0)
    question = task.ask(jax.random.key(0), {"image": images_for(1)})
    there = jnp.eye(25).reshape(1, 1, 5, 5, 25)
    wrong = jnp.roll(there, 1, axis=3)  # One column aside.
    said = jnp.stack([jnp.roll(wrong, -offset, axis=2) for offset in (2, 3)], axis=2)
    picture = task.picture({"targets": there, "predictions": said}, question)[0]
    assert picture.shape == (3, 40, 40, 3)
    seen, chosen, whole = picture
    np.testing.assert_allclose(whole, side_by_side(question.targets)[0])
    np.testing.assert_allclose(seen[:24], whole[:24])
    np.testing.assert_allclose(seen[24:], 0.5)
    np.testing.assert_allclose(chosen[32:40, 8:40], whole[32:40, :32])
    np.testing.assert_allclose(chosen[24:32], 0.5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(patch_stride=3), "no grid of patches"),
        (dict(patch_size=17), "no grid of patches"),
        (dict(skip_rows=3), "5 below"),
        (dict(predict_rows=0), "at least 1"),
        (dict(directions=3), "1, 2 or 4"),
    ],
)
def test_grids_that_do_not_fit_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        task_for(**changes)
