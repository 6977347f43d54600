"""BiGAN's and BigBiGAN's configs have the published numbers, or those that are remembered.

Their steps can be traced.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from published import check, load, numbers

from ssljax import methods, optimizers
from ssljax.methods.contract import Task
from ssljax.run.step import init_state, make_step

ADAM = {
    "batch_size": 128,
    "optimizer.name": "adam",
    "optimizer.b1": 0.5,
    "optimizer.b2": 0.999,
    "optimizer.schedule": "exponential",
    "optimizer.hold": 0.5,
    "optimizer.end_factor": 0.01,
    "method.prior": "uniform",
    "rate": 2e-4,
    "decay": 2.5e-5,
}
PUBLISHED = {
    "bigan/mnist.py": ADAM
    | {
        "epochs": 400.0,
        "data.name": "mnist",
        "data.image_size": 28,
        "method.latent_dim": 50,
        "model.encoder.name": "mlp",
        "model.generator.name": "bigan_mlp",
        "model.discriminator.name": "bigan_mlp",
    },
    "bigan/imagenet.py": ADAM
    | {
        "epochs": 100.0,
        "data.image_size": 72,
        "method.latent_dim": 200,
        "method.view.size": 64,
        "method.view.flip_p": 0.0,
        "method.image_size": 64,
        "model.encoder.name": "alexnet",
        "model.encoder.widths": (96, 256, 384, 384, 256),
        "model.generator.name": "bigan",
        "model.discriminator.name": "bigan",
    },
    "bigan/imagenet.py:generalized": {
        "data.image_size": 128,
        "method.view.size": 112,
        "method.image_size": 64,
    },
    "bigbigan/imagenet.py": {
        "batch_size": 2048,
        "method.latent_dim": 120,
        "method.prior": "normal",
        "method.view.size": 256,
        "method.view.crop_scale": (0.08, 1.0),
        "method.view.flip_p": 0.5,
        "method.image_size": 128,
        "model.encoder.name": "resnet50",
    },
}
REMEMBERED = {
    "bigbigan/imagenet.py": {
        "steps": 500_000,
        "method.discriminator_steps": 2,
        "method.encoder_rate": 10.0,
        "method.ema_decay": 0.9999,
        "optimizer.name": "adam",
        "optimizer.b1": 0.0,
        "optimizer.b2": 0.999,
        "rate": 2e-4,
        "decay": 0.0,
    },
}
BATCH = 2
PARAMETERS = {
    # The perceptrons: see tests/models/gan/test_bigan.py.
    "bigan/mnist.py": {"discriminator": 1903616, "generator": 1953792 + 1902592},
    "bigan/imagenet.py": {"discriminator": 4494784, "generator": 6050880 + 4210752},
    # ResNet-50 is 23,508,032; then four layers of 4096 with a shortcut, mean and deviation.
    "bigbigan/imagenet.py": {
        "generator": 68_413_636
        + 23_508_032
        + 2 * 2048 * 4096
        + 3 * 4096**2
        + 4 * 4096
        + 2 * 4097 * 120,
    },
}


@pytest.mark.parametrize(("path", "key"), numbers(PUBLISHED))
def test_the_authors_number(path, key):
    check(PUBLISHED, path, key)


@pytest.mark.parametrize(("path", "key"), numbers(REMEMBERED))
def test_a_number_that_is_from_memory_stays_as_it_is(path, key):
    """Nobody has looked these up: the config's docstring says so of each."""
    check(REMEMBERED, path, key)


@pytest.mark.parametrize("path", PUBLISHED)
def test_a_step_of_the_published_networks_can_be_traced(path):
    config = load(path)
    side, channels = config.data.image_size, config.data.channels
    task = Task((side, side, channels), BATCH, total_steps=8, steps_per_epoch=4)
    method = methods.build(config, task)
    state = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))
    sizes = {
        name: sum(math.prod(x.shape) for x in jax.tree.leaves(params))
        for name, params in state.params.items()
    }
    expected = PARAMETERS.get(path, {})
    assert {name: sizes[name] for name in expected} == expected
    updates = max(player.updates for player in method.players)
    images = jax.ShapeDtypeStruct((BATCH, updates, side, side, channels), np.uint8)
    if config.data.crop == "host":
        size = config.method.view.size
        crops = jax.ShapeDtypeStruct((BATCH, updates, size, size, channels), np.uint8)
        batch = {"images": {"crop0": crops}}
    else:
        batch = {"images": {"image": images}}
    after, metrics = jax.eval_shape(make_step(method), state, batch)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert {"generator/loss", "discriminator/loss"} < set(metrics)
    seen = jax.ShapeDtypeStruct((BATCH, side, side, channels), np.uint8)
    stages = jax.eval_shape(method.features, state, seen)
    assert set(config.evals.stages) <= set(stages)
    made = jax.eval_shape(method.reconstruct, state, seen)
    size = config.method.image_size or side
    assert made.shape == (BATCH, size, size, channels)


@pytest.mark.parametrize("path", ["bigan/mnist.py", "bigan/imagenet.py"])
def test_the_rate_is_constant_for_half_of_the_epochs_and_then_falls_to_a_hundredth(path):
    settings = load(path).optimizer.to_dict()
    schedule = optimizers.build(
        settings, total_steps=400, steps_per_epoch=1, batch_size=128
    ).schedule
    rates = [float(schedule(step)) for step in (0, 100, 200, 300, 400)]
    assert rates == pytest.approx([2e-4, 2e-4, 2e-4, 2e-5, 2e-6], rel=1e-4)
