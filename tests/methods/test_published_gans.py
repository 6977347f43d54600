"""The configs of GANs have the numbers that the authors publish, and every graph can be traced."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from published import check, load, numbers

from ssljax import methods
from ssljax.methods.contract import Task
from ssljax.run.step import init_state, make_step

ADAM = {
    "optimizer.name": "adam",
    "optimizer.schedule": "constant",
    "optimizer.b1": 0.0,
    "optimizer.b2": 0.99,
    "optimizer.eps": 1e-8,
    "method.penalty_weight": 10.0,
    "method.drift_weight": 1e-3,
    "method.ema_decay": 0.999,
    "method.discriminator_steps": 1,
    "rate": 1e-3,
}
PUBLISHED = {
    "progan/cifar10.py": ADAM
    | {
        "batch_size": 16,
        "steps": 20_000_000 // 16,
        "method.latent_dim": 128,
        "method.stable_kimg": 400.0,
        "method.fade_kimg": 400.0,
        "method.penalty_target": 750.0,
        "model.generator.fmap_base": 4096,
        "model.generator.fmap_max": 128,
        "model.discriminator.fmap_base": 4096,
        "model.discriminator.fmap_max": 128,
        "model.discriminator.group_size": 16,
        "data.image_size": 32,
    },
    "progan/celeb_a.py": ADAM
    | {
        "batch_size": 16,
        "steps": 10_000_000 // 16,
        "method.latent_dim": 512,
        "method.stable_kimg": 800.0,
        "method.fade_kimg": 800.0,
        "method.penalty_target": 1.0,
        "method.flip": True,
        "model.generator.fmap_base": 2048,
        "model.generator.fmap_max": 512,
        "model.discriminator.fmap_base": 2048,
        "model.discriminator.fmap_max": 512,
        "model.discriminator.group_size": 16,
        "data.image_size": 128,
    },
    "progan/celeb_a_hq.py": ADAM
    | {
        "batch_size": 32,
        "steps": 12_000_000 // 32,
        "method.latent_dim": 512,
        "method.stable_kimg": 600.0,
        "method.fade_kimg": 600.0,
        "method.penalty_target": 1.0,
        "method.rates": ((128, 1.5), (256, 2.0), (512, 3.0), (1024, 3.0)),
        "method.flip": True,
        "model.generator.fmap_base": 8192,
        "model.generator.fmap_max": 512,
        "model.discriminator.fmap_base": 8192,
        "model.discriminator.group_size": 4,
        "data.image_size": 1024,
    },
}


@pytest.mark.parametrize(("path", "key"), numbers(PUBLISHED))
def test_the_authors_number(path, key):
    check(PUBLISHED, path, key)


@pytest.mark.parametrize(
    ("path", "size", "count"),
    [("cifar10", 32, 7), ("celeb_a", 128, 11), ("celeb_a_hq", 1024, 17)],
)
def test_progan_reaches_its_size_within_the_run_and_its_last_fade_can_be_traced(path, size, count):
    config = load(f"progan/{path}.py")
    shape = (size, size, 3)
    task = Task(shape, config.batch_size, config.steps, 1000.0, num_images=30_000)
    method = methods.build(config, task)
    assert len(method.phases) == count
    fading = methods.build(config, dataclasses.replace(task, phase=count - 2))
    assert (fading.stage.size, fading.stage.fades) == (size, True)

    def run(images):
        return make_step(fading)(init_state(fading, jax.random.key(0)), images)

    images = jax.ShapeDtypeStruct((config.batch_size, 1, *shape), jnp.uint8)
    state, metrics = jax.eval_shape(run, {"images": {"image": images}})
    first = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))
    assert jax.tree.structure(state) == jax.tree.structure(first)
    assert {x.shape for x in metrics.values()} == {()}
