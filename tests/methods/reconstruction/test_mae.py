"""The masked autoencoder as a method: its loss in float64, its masks, and what is evaluated."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from ssljax import augment, methods, models, optimizers
from ssljax.augment import ViewPolicy
from ssljax.config import file as config_file
from ssljax.methods.contract import Task, Turn
from ssljax.methods.reconstruction.mae import MAE
from ssljax.run.step import init_state, make_step

BATCH, DIM, PATCH = 8, 16, 4
TASK = Task(image_shape=(12, 12, 1), batch_size=BATCH, total_steps=8, steps_per_epoch=4)


def tiny_config(name="vit_test", **changes):
    method = MAE.default_config()
    method.view = ConfigDict(dataclasses.asdict(ViewPolicy(12, crop_scale=None)))
    method.update(decoder_dim=8, decoder_depth=1, decoder_heads=2)
    method.update(changes)
    settings = optimizers.Settings(name="adamw", learning_rate=1e-3, weight_decay=0.05, b2=0.95)
    return ConfigDict(
        {
            "method": method,
            "model": {"encoder": {"name": name, "dtype": "float32"}},
            "optimizer": dataclasses.asdict(settings),
        }
    )


def batch(seed):
    images = np.random.default_rng(seed).integers(0, 256, (BATCH, 1, 12, 12, 1), dtype=np.uint8)
    return {"images": {"image": jnp.asarray(images)}}


@pytest.fixture(scope="module", autouse=True)
def encoders():
    tiny = functools.partial(models.VisionTransformer, dim=DIM, depth=1, heads=2, patch_size=PATCH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.ENCODERS, "vit_test", tiny)
        yield


@pytest.fixture(scope="module")
def method():
    return MAE(tiny_config(), TASK)


@pytest.fixture(scope="module")
def start(method):
    return jax.jit(functools.partial(init_state, method))(jax.random.key(0))


@pytest.fixture(scope="module")
def run(method, start):
    """The states before and after each of three steps, and the metrics of each."""
    step = jax.jit(make_step(method)).lower(start, batch(0)).compile()
    states, metrics = [start], []
    for number in range(3):
        state, values = step(states[-1], batch(number))
        states.append(state)
        metrics.append(values)
    return states, metrics


@pytest.fixture(scope="module")
def painted(method, start):
    """For a key: views, the network's outputs, and both losses with what they carry."""
    plain = MAE(tiny_config(normalize_pixels=False), TASK)
    images = batch(0)["images"]["image"][:, 0]

    @jax.jit
    def compute(key):
        params = start.params["online"]
        views = method.views(jax.random.key(1), {"images": {"image": images}})
        outputs = method.network.apply(
            {"params": params}, views, jax.random.split(key)[0], train=False
        )
        losses = [m.loss(params, Turn(start, views, key)) for m in (method, plain)]
        return views, outputs, losses

    return compute


def patches_of(views):
    """Patches in order of rows, each as a row of its values."""
    views = np.asarray(views, np.float64)
    corners = [(y, x) for y in range(0, 12, PATCH) for x in range(0, 12, PATCH)]
    cut = [views[:, y : y + PATCH, x : x + PATCH].reshape(BATCH, -1) for y, x in corners]
    return np.stack(cut, axis=1)


def test_defaults_are_the_papers():
    config = MAE.default_config()
    assert (config.mask_ratio, config.normalize_pixels) == (0.75, True)
    assert (config.decoder_dim, config.decoder_depth, config.decoder_heads) == (512, 8, 16)
    view = augment.view_from_config(config.view)
    assert (view.size, view.crop_scale, view.flip_p) == (224, (0.2, 1.0), 0.5)
    nothing = ViewPolicy(224)
    for name in ("brightness", "contrast", "saturation", "hue", "gray_p", "blur_p", "solarize_p"):
        assert getattr(view, name) == getattr(nothing, name) == 0.0


def test_imagenet_config_is_the_papers(monkeypatch):
    monkeypatch.setitem(methods.REGISTRY, "mae", MAE)
    config = config_file.load("mae/imagenet")
    settings = config.optimizer
    assert (settings.name, settings.b1, settings.b2) == ("adamw", 0.9, 0.95)
    assert (settings.learning_rate, settings.scaling) == (1.5e-4, "linear")
    assert (settings.weight_decay, settings.warmup_epochs) == (0.05, 40)


def test_loss_is_the_error_of_the_hidden_patches_in_float64(painted):
    views, outputs, ((normalized, aux), (plain, _)) = painted(jax.random.key(2))
    mask = np.asarray(outputs["mask"])
    # A quarter of 9 patches, rounded down, is seen.
    np.testing.assert_array_equal(mask.sum(axis=1), 7)
    prediction, target = np.asarray(outputs["prediction"], np.float64), patches_of(views)
    for found, wanted in (
        (plain, target),
        (
            normalized,
            (target - target.mean(axis=-1, keepdims=True))
            / np.sqrt(target.var(axis=-1, ddof=1, keepdims=True) + 1e-6),
        ),
    ):
        error = np.mean((prediction - wanted) ** 2, axis=-1)
        np.testing.assert_allclose(found, error[mask].mean(), rtol=1e-5)
    np.testing.assert_allclose(aux.carry["features"], outputs["features"], rtol=1e-5)
    z = np.asarray(outputs["features"], np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(aux.metrics["embedding_std"], z.std(axis=0).mean(), rtol=1e-4)
    assert float(aux.metrics["collapsed"]) == 0.0


def test_every_example_and_every_step_hides_other_patches(painted):
    masks = [np.asarray(painted(jax.random.key(key))[1]["mask"]) for key in (2, 3)]
    assert len({tuple(row) for row in masks[0]}) > BATCH // 2
    assert np.any(masks[0] != masks[1])


def test_encoder_is_the_papers_unless_the_config_says_otherwise(method):
    assert method.network.encoder.positions == "sincos"
    assert method.network.encoder.initializer == "xavier"
    assert method.network.mask_ratio == 0.75
    config = tiny_config()
    config.model.encoder.update(positions="learned", initializer="normal")
    encoder = MAE(config, TASK).network.encoder
    assert (encoder.positions, encoder.initializer) == ("learned", "normal")


def test_features_are_the_encoders_with_every_patch_in_sight(method, start):
    images = batch(0)["images"]["image"][:, 0]
    features = jax.jit(method.features)
    found = features(start, images)
    assert {name: x.shape for name, x in found.items()} == {
        "block1": (BATCH, 3, 3, DIM),
        "tokens": (BATCH, 3, 3, DIM),
        "features": (BATCH, DIM),
    }
    for patch in range(9):
        y, x = divmod(patch, 3)
        changed = images.at[:, PATCH * y, PATCH * x].add(100)
        assert np.abs(features(start, changed)["features"] - found["features"]).max() > 1e-6
    decoder = jax.tree.map(jnp.zeros_like, start.params["online"]["decoder"])
    params = {"online": start.params["online"] | {"decoder": decoder}}
    without = features(start.replace(params=params), images)
    np.testing.assert_array_equal(without["features"], found["features"])


def test_steps_move_encoder_and_decoder(run):
    states, _ = run
    for before, after in itertools.pairwise(states):
        old, new = (jax.tree.leaves_with_path(state.params["online"]) for state in (before, after))
        for (path, a), (_, b) in zip(old, new, strict=True):
            assert np.any(np.asarray(a) != np.asarray(b)), path


def test_eight_devices_learn_what_one_learns(method, start, run):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    state = jax.device_put(start, whole)
    batches = [jax.device_put(batch(number), split) for number in range(3)]
    step = jax.jit(make_step(method), out_shardings=(whole, whole)).lower(state, batches[0])
    step = step.compile()
    # No images change their device.
    assert not [name for name in ("all-to-all", "collective-permute(") if name in step.as_text()]
    for number in range(3):
        state, metrics = step(state, batches[number])
        for name in ("online/loss", "online/grad_norm", "online/embedding_std"):
            np.testing.assert_allclose(metrics[name], run[1][number][name], rtol=1e-4)


def test_network_without_patches_is_told():
    with pytest.raises(ValueError, match="needs a vision transformer"):
        MAE(tiny_config("small"), TASK)
