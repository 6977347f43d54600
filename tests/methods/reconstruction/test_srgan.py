"""SRGAN: from an encoder through SRResNet to a game, and its two losses."""

import copy
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import save_file

from ssljax import methods, optimizers
from ssljax.augment import presets
from ssljax.errors import UserError
from ssljax.methods.contract import Task, Turn
from ssljax.methods.reconstruction.autoencoder import Autoencoder
from ssljax.methods.reconstruction.colorization import ColorizationTask
from ssljax.methods.reconstruction.split_brain import SplitBrainTask
from ssljax.methods.reconstruction.super_resolution import SuperResolution
from ssljax.models import VGG
from ssljax.models.weights import naming_of, shapes_of
from ssljax.run.step import init_state, make_step

BATCH, SIDE = 4, 32
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
TASK = Task(image_shape=(SIDE, SIDE, 3), batch_size=BATCH, total_steps=8, steps_per_epoch=4)
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)


def build(name, source=None, **changes):
    method, model = methods.default_config(name), methods.default_model(name)
    if name == "super_resolution":
        method.update(factor=2, upscaler_channels=4, content_scale=0.5)
        method.view.size = SIDE
        model.encoder.update(blocks=4, channels=4)
        model.discriminator.width = 1 / 16
    else:
        method.update(decoder_widths=(4, 4), bottleneck=4)
        method.view.update(size=SIDE, mean=MEAN, std=STD)
        model.encoder.update(name="small", widths=(4, 8))
    method.update(changes)
    settings = optimizers.Settings(name="sgd", learning_rate=0.1, schedule="constant", momentum=0.0)
    config = ConfigDict(
        {"method": method, "model": model, "optimizer": dataclasses.asdict(settings)}
    )
    return methods.REGISTRY[name](config, dataclasses.replace(TASK, source=source))


def state_of(method, seed):
    return jax.jit(functools.partial(init_state, method))(jax.random.key(seed))


@pytest.fixture(scope="module")
def chain():
    """Methods and states: an autoencoder, SRResNet that carries its encoder, and SRGAN."""
    encoder = build("autoencoder")
    srresnet = build("super_resolution", encoder)
    srgan = build("super_resolution", srresnet, adversarial_weight=0.001, content="features")
    first = state_of(encoder, 0)
    second = srresnet.start_from(state_of(srresnet, 1), encoder, first)
    third = srgan.start_from(state_of(srgan, 2), srresnet, second)
    return (encoder, srresnet, srgan), (first, second, third)


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool(np.array_equal(x, y)), a, b)))


def test_srgan_goes_on_from_srresnet_which_carries_the_encoder_along(chain):
    (encoder, srresnet, srgan), (first, second, third) = chain
    assert isinstance(encoder, Autoencoder)
    assert isinstance(srgan, SuperResolution)
    assert same(third.params["online"], second.params["online"])
    for state in (second, third):
        assert same(state.memory["extractor"]["params"], first.params["online"]["encoder"])
    for method, state in ((srresnet, second), (srgan, third)):
        wanted = jax.eval_shape(functools.partial(init_state, method), jax.random.key(0))
        assert jax.tree.structure(wanted) == jax.tree.structure(state)


@pytest.mark.parametrize("task", [ColorizationTask, SplitBrainTask])
def test_encoders_that_see_no_normalised_images_are_refused(chain, task):
    source = copy.copy(chain[0][0])
    source.pretext = object.__new__(task)
    with pytest.raises(ValueError, match="is not given whole normalised images"):
        build("super_resolution", source)


def test_the_content_is_what_the_encoder_sees_of_normalised_images(chain):
    (encoder, _, srgan), (first, _, third) = chain
    rng = np.random.default_rng(1)
    enlarged = rng.uniform(-1, 1, IMAGES.shape)

    def look(images):
        inputs = jnp.asarray((images - MEAN) / STD, jnp.float32)
        weights = {
            "params": first.params["online"]["encoder"],
            "batch_stats": first.variables["online"]["batch_stats"]["encoder"],
        }
        outputs = encoder.network.encoder.apply(weights, inputs, False)
        return np.asarray(outputs["stage2"], np.float64)

    expected = np.mean((0.5 * (look((enlarged + 1) / 2) - look(IMAGES / 255))) ** 2)
    found = srgan.content_loss(
        third.memory, jnp.asarray(enlarged, jnp.float32), jnp.asarray(IMAGES / 255, jnp.float32)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_content_may_be_what_vgg_19_of_a_file_sees(chain, tmp_path):
    (_, srresnet, _), (_, second, _) = chain
    rng, file = np.random.default_rng(0), tmp_path / "vgg19.safetensors"
    shapes = shapes_of(VGG())
    layout = naming_of(shapes["params"]).layout(shapes)
    tensors = {
        name: rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:]) + 1))
        for name, (_, shape) in layout.items()
    }
    options = dict(adversarial_weight=0.001, content="features", content_layer="stage1")
    srgan = build("super_resolution", srresnet, extractor=str(file), **options)
    fresh = state_of(srgan, 2)
    with pytest.raises(UserError, match="There is no file"):
        srgan.start_from(fresh, srresnet, second)
    save_file(tensors, file)
    state = srgan.start_from(fresh, srresnet, second)
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, fresh)
    assert same(state.params["online"], second.params["online"])
    kernel = state.memory["extractor"]["params"]["stage3_conv1"]["kernel"]
    np.testing.assert_array_equal(kernel[1, 2], tensors["features.10.weight"][:, :, 1, 2].T)
    enlarged = rng.uniform(-1, 1, IMAGES.shape)

    def look(images):
        x = (images - presets.IMAGENET_MEAN) / presets.IMAGENET_STD
        for number in (0, 2):
            kernel = tensors[f"features.{number}.weight"].astype(np.float64)
            padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
            windows = sliding_window_view(padded, (3, 3), axis=(1, 2))
            x = np.tensordot(windows, kernel, ([3, 4, 5], [1, 2, 3]))
            x = np.maximum(x + tensors[f"features.{number}.bias"], 0)
        return x

    expected = np.mean((0.5 * (look((enlarged + 1) / 2) - look(IMAGES / 255))) ** 2)
    pair = (jnp.asarray(x, jnp.float32) for x in (enlarged, IMAGES / 255))
    np.testing.assert_allclose(srgan.content_loss(state.memory, *pair), expected, rtol=1e-4)


def test_the_loss_is_content_and_a_thousandth_of_the_game(chain):
    (*_, srgan), (*_, state) = chain

    @jax.jit
    def look(state):
        views = srgan.views(jax.random.key(3), {"images": {"image": jnp.asarray(IMAGES)}})
        turn = Turn(state, views, jax.random.key(1))
        loss, aux = srgan.loss(state.params["online"], turn)
        content = srgan.content_loss(state.memory, aux.carry["restored"], views.targets)
        return loss, aux.metrics, content

    loss, metrics, content = look(state)
    np.testing.assert_allclose(metrics["content"], content, rtol=1e-5)
    np.testing.assert_allclose(loss, content + 0.001 * metrics["adversarial"], rtol=1e-5)


def test_both_players_move_and_the_extractor_does_not(chain):
    (*_, srgan), (*_, state) = chain
    batch = {"images": {"image": jnp.asarray(IMAGES)[:, None]}}
    after, metrics = jax.jit(make_step(srgan))(state, batch)
    assert [player.name for player in srgan.players] == ["online", "discriminator"]
    for player in ("online", "discriminator"):
        assert float(metrics[f"{player}/update_norm"]) > 0
        assert not same(after.params[player], state.params[player])
    assert same(after.memory, state.memory)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(adversarial_weight=0.001), "SRGAN starts from SRResNet"),
        (dict(content="features"), "content='features' needs an encoder"),
        (dict(extractor="vgg19.safetensors"), "method.extractor is for SRGAN"),
        (dict(content="edges"), "method.content is 'edges'"),
        (dict(content_scale=0.0), "the scale above 0"),
    ],
)
def test_impossible_keys_are_told(changes, told):
    with pytest.raises(ValueError, match=told):
        build("super_resolution", **changes)


def test_a_layer_that_the_encoder_lacks_is_told(chain):
    (_, srresnet, _), (*_, state) = chain
    method = build("super_resolution", srresnet, content="features", content_layer="stage9")
    images = jnp.zeros((1, SIDE, SIDE, 3))
    with pytest.raises(ValueError, match="the encoder has features, stage1, stage2, stem"):
        method.content_loss(state.memory, images, images)
