"""The context encoder: its hole, its two losses, and who sees what."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import methods, models, optimizers
from ssljax.methods.contract import Task, Turn
from ssljax.methods.pretext_method import example_inputs
from ssljax.methods.reconstruction.context_encoder import (
    ContextEncoder,
    ContextEncoderTask,
    without_biases,
)
from ssljax.run.step import init_state, make_step

BATCH, SIDE = 4, 32
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
TASK = Task(image_shape=(SIDE, SIDE, 3), batch_size=BATCH, total_steps=8, steps_per_epoch=4)
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)


def tiny_config(**changes):
    method = methods.default_config("context_encoder")
    method.update(bottleneck=8, decoder_widths=(8, 4), overlap=2, region_resolution=0.24)
    method.view.update(size=SIDE, mean=MEAN, std=STD, flip_p=0.0)
    method.update(changes)
    model = methods.default_model("context_encoder")
    model.encoder.update(name="small", widths=(4, 8, 8))
    model.discriminator.width = 1 / 16
    settings = optimizers.Settings(name="sgd", learning_rate=0.1, schedule="constant", momentum=0.0)
    return ConfigDict({"method": method, "model": model, "optimizer": dataclasses.asdict(settings)})


def ask(pretext, seed=3):
    return jax.jit(pretext.ask)(jax.random.key(seed), {"image": IMAGES})


@pytest.fixture(scope="module")
def method():
    return ContextEncoder(tiny_config(), TASK)


@pytest.fixture(scope="module")
def start(method):
    return jax.jit(functools.partial(init_state, method))(jax.random.key(0))


def test_the_hole_has_the_mean_colour_and_the_overlap_is_seen(method):
    question = ask(method.pretext)
    hole = np.zeros((SIDE, SIDE), bool)
    hole[10:22, 10:22] = True  # The middle 16 pixels, less 2 on every side.
    assert np.array_equal(question.targets["hole"], np.broadcast_to(hole, (BATCH, SIDE, SIDE)))
    seen = np.asarray(question.inputs) * STD + MEAN
    np.testing.assert_allclose(seen[:, hole], np.broadcast_to(MEAN, seen[:, hole].shape), atol=1e-6)
    np.testing.assert_allclose(seen[:, ~hole], IMAGES[:, ~hole] / 255, atol=1e-6)


def test_errors_of_the_overlap_weigh_ten_times(method):
    question = ask(method.pretext)
    prediction = np.random.default_rng(1).uniform(-1, 1, (BATCH, 16, 16, 3))
    outputs = {"prediction": jnp.asarray(prediction, jnp.float32)}
    loss, _ = method.pretext.loss(outputs, question.targets)
    truth = IMAGES[:, 8:24, 8:24] / 127.5 - 1
    weight = np.full((16, 16, 1), 10.0)
    weight[2:14, 2:14] = 1
    np.testing.assert_allclose(loss, np.mean(weight * (prediction - truth) ** 2), rtol=1e-5)
    # The marks are of the hole alone.
    marks = method.pretext.scores(outputs, question.targets)
    error = ((prediction - truth) / 2)[:, 2:14, 2:14]
    share = np.mean((error / STD) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(marks["variance_explained"], 1 - share, rtol=1e-5)
    psnr = -10 * np.log10(np.mean(error**2, axis=(1, 2, 3)))
    np.testing.assert_allclose(marks["psnr"], psnr, rtol=1e-5)


def test_a_random_region_is_one_for_the_batch_and_the_whole_image_is_painted():
    pretext = ContextEncoder(tiny_config(region="random", overlap=0), TASK).pretext
    first, second = ask(pretext), ask(pretext, seed=4)
    mask = np.asarray(first.targets["hole"])
    assert np.array_equal(mask, np.broadcast_to(mask[:1], mask.shape))
    assert not np.array_equal(mask, second.targets["hole"])
    assert 0.2 < mask[0].mean() < 0.3
    prediction = np.random.default_rng(1).uniform(-1, 1, IMAGES.shape)
    outputs = {"prediction": jnp.asarray(prediction, jnp.float32)}
    loss, _ = pretext.loss(outputs, first.targets)
    np.testing.assert_allclose(loss, np.mean((prediction - IMAGES / 127.5 + 1) ** 2), rtol=1e-5)
    shown = np.asarray(pretext.picture(outputs, first))
    np.testing.assert_allclose(shown[:, 1][mask], ((prediction + 1) / 2)[mask], atol=1e-6)
    np.testing.assert_allclose(shown[:, 1][~mask], (IMAGES / 255)[~mask], atol=1e-6)


def losses_of(method, state, images):
    """Both players' losses and metrics on some images."""
    views = method.views(jax.random.key(3), {"images": {"image": images}})
    turn = Turn(state, views, jax.random.key(1))
    total, aux = method.loss(state.params["online"], turn)
    turn = turn.replace(carried=aux.carry)
    judged, _ = method.players[1].loss(state.params["discriminator"], turn)
    return total, aux.metrics, judged


def test_the_loss_is_nearly_all_squared_error(method, start):
    total, metrics, _ = jax.jit(functools.partial(losses_of, method))(start, IMAGES)
    expected = 0.999 * metrics["content"] + 0.001 * metrics["adversarial"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)
    # An untrained discriminator cannot tell.
    np.testing.assert_allclose(metrics["adversarial"], np.log(2), rtol=0.3)


def test_the_discriminator_sees_the_patch_alone(method, start):
    views = method.views(jax.random.key(3), {"images": {"image": jnp.asarray(IMAGES)}})
    painted = jnp.zeros((BATCH, 16, 16, 3))

    def judge(image):
        targets = views.targets | {"image": image}
        turn = Turn(
            start,
            views._replace(targets=targets),
            jax.random.key(1),
            carried={"restored": painted},
        )
        return method.players[1].loss(start.params["discriminator"], turn)[0]

    slope = np.array(jax.jit(jax.grad(judge))(views.targets["image"]))
    assert np.all(np.any(slope[:, 8:24, 8:24], axis=(1, 2, 3)))
    slope[:, 8:24, 8:24] = 0
    assert not np.any(slope)


def test_each_player_moves_its_own_networks_and_the_discriminator_ten_times_slower(method, start):
    rates = {player.name: float(player.schedule(0)) for player in method.players}
    assert rates == {"online": pytest.approx(0.1), "discriminator": pytest.approx(0.01)}
    batch = {"images": {"image": jnp.asarray(IMAGES)[:, None]}}
    after, metrics = jax.jit(make_step(method))(start, batch)
    for player in ("online", "discriminator"):
        assert float(metrics[f"{player}/update_norm"]) > 0
        assert float(metrics[f"{player}/grad_norm"]) * rates[player] == pytest.approx(
            float(metrics[f"{player}/update_norm"]), rel=1e-5
        )
    assert int(after.step) == 1


def test_without_its_weight_there_is_no_discriminator_and_the_task_is_the_same(start):
    alone = ContextEncoder(tiny_config(adversarial_weight=0.0), TASK)
    assert [player.name for player in alone.players] == ["online"]
    state = jax.eval_shape(functools.partial(init_state, alone), jax.random.key(0))
    assert set(state.params) == {"online"}
    batch = {"images": {"image": jnp.asarray(IMAGES)}}
    views = alone.views(jax.random.key(3), batch)
    loss, aux = alone.loss(start.params["online"], Turn(start, views, jax.random.key(1)))
    outputs, _ = alone.forward(start.params["online"], Turn(start, views, jax.random.key(1)))
    assert float(loss) == pytest.approx(
        float(alone.pretext.loss(outputs, views.targets)[0]), rel=1e-5
    )
    assert "restored" not in aux.carry


def test_biases_of_layers_are_reset_and_those_of_norms_are_not(method):
    params = {
        "conv": {"kernel": jnp.ones((1, 1, 2, 2)), "bias": jnp.ones(2)},
        "norm": {"scale": jnp.ones(2), "bias": jnp.ones(2)},
    }
    reset = without_biases(params)
    assert not np.any(reset["conv"]["bias"])
    assert np.all(reset["norm"]["bias"] == 1)
    assert np.all(reset["conv"]["kernel"] == 1)
    assert all(player.project is without_biases for player in method.players)
    kept = ContextEncoder(tiny_config(reset_biases=False), TASK)
    assert all(player.project is None for player in kept.players)


@pytest.mark.parametrize(("region", "side"), [("center", 64), ("random", 128)])
def test_the_published_networks_have_the_published_sizes(region, side):
    config = ContextEncoderTask.default_config()
    if region == "random":
        config.update(region="random", overlap=0, decoder_widths=(512, 256, 128, 64, 64))
    pretext = ContextEncoderTask(
        config, dataclasses.replace(TASK, image_shape=(128, 128, 3)), "float32"
    )
    encoder = models.build_encoder("context_encoder_dcgan")
    inputs = example_inputs(pretext, (128, 128, 3))
    assert inputs.shape == (1, 128, 128, 3)

    def sizes():
        maps, weights = encoder.init_with_output(jax.random.key(0), inputs, False)
        head = pretext.head.init_with_output(
            jax.random.key(0), lambda x: encoder.apply(weights, x, False), inputs, False
        )
        return maps, head

    maps, (outputs, head) = jax.eval_shape(sizes)
    assert [maps[f"stage{i}"].shape[1:] for i in range(1, 6)] == [
        (64, 64, 64),
        (32, 32, 64),
        (16, 16, 128),
        (8, 8, 256),
        (4, 4, 512),
    ]
    assert head["params"]["bottleneck"]["kernel"].shape == (4 * 4 * 512, 4000)
    assert outputs["prediction"].shape == (1, side, side, 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(region="corner"), "method.region is 'corner'"),
        (dict(overlap=8), "overlap is from 0 to 7 pixels"),
        (dict(adversarial_weight=1.0), "adversarial_weight is 1.0"),
        (dict(discriminator_rate=0.0), "discriminator_rate is 0.0"),
    ],
)
def test_impossible_keys_are_told(changes, told):
    with pytest.raises(ValueError, match=told):
        ContextEncoder(tiny_config(**changes), TASK)
