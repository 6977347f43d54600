"""Configs of translation: the authors' numbers, and that each can be trained."""

import copy

import jax
import jax.numpy as jnp
import pytest
from published import check, load, numbers, variants

from ssljax import methods
from ssljax.methods import translation
from ssljax.methods.contract import Task
from ssljax.run.feeds import section
from ssljax.run.step import init_state, make_step

ADAM = {
    "optimizer.name": "adam",
    "optimizer.b1": 0.5,
    "optimizer.b2": 0.999,
    "optimizer.exclude": (),
    "rate": 2e-4,
}
# Constant for one half of the run, then down to 0; images of 286 pixels, of which 256 are seen.
HALVES = {"optimizer.schedule": "linear", "optimizer.hold": 0.5, "optimizer.end_value": 0.0}
CUT = {
    "batch_size": 1,
    "data.resize": "exact",
    "method.view.size": 256,
    "method.view.crop_scale": ((256 / 286) ** 2,) * 2,
    "method.view.crop_ratio": (1.0, 1.0),
    "method.view.flip_p": 0.5,
}
# As in `test_published`.
PUBLISHED = {
    "cyclegan/horse2zebra.py": ADAM
    | HALVES
    | CUT
    | {
        "steps": 200 * 1334,
        "data.image_size": 286,
        "method.cycle_weight": 10.0,
        "method.identity_weight": 0.5,
        "method.pool_size": 50,
    },
    "discogan/edges2shoes.py": ADAM
    | {
        "batch_size": 64,
        "data.image_size": 64,
        "decay": 1e-5,
        "optimizer.schedule": "constant",
        "method.discriminator_every": 3,
        "method.starting_rate": 0.01,
        "method.curriculum_steps": 10_000,
        "method.default_rate": 0.5,
        "method.view.size": 64,
        "method.view.crop_scale": None,
        "method.view.flip_p": 0.0,
    },
    "pix2pix/facades.py": ADAM
    | HALVES
    | CUT
    | {
        "epochs": 200.0,
        "data.image_size": 2 * 286,
        "method.direction": "B to A",
        "method.l1_weight": 100.0,
        "model.discriminator.norm": "batch",
    },
}


@pytest.mark.parametrize(("path", "key"), numbers(PUBLISHED))
def test_the_authors_number(path, key):
    check(PUBLISHED, path, key)


@pytest.mark.parametrize(
    "path", [x for name in translation.REGISTRY for x in variants(f"{name}/*.py")]
)
def test_a_step_of_the_config_can_be_traced(path):
    config = load(path)
    side, channels = config.data.image_size, config.data.channels
    method = methods.build(
        config,
        Task((side, side, channels), config.batch_size, total_steps=100, steps_per_epoch=10),
    )
    images = jax.ShapeDtypeStruct((config.batch_size, 1, side, side, channels), jnp.uint8)
    batch = {name: {"image": images} for name in methods.feeds(config)}
    state = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))
    after, _ = jax.eval_shape(make_step(method), state, batch)
    assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(lambda x: x.shape, state)
    some = jax.ShapeDtypeStruct((2, side, side, channels), jnp.uint8)
    for way in method.translations():
        made = jax.eval_shape(lambda s, x, way=way: method.translate(s, x, way), state, some)
        assert made.shape == some.shape


def test_domain_b_has_what_its_section_leaves_empty_of_domain_a():
    config = copy.deepcopy(load("cyclegan/mnist.py"))  # Which other tests have as well.
    feeds = methods.feeds(config)
    a, b = (section(config, feeds[domain]) for domain in ("A", "B"))
    assert (a.split, b.split) == ("train[:50%]", "train[50%:]")
    assert (a.name, b.name) == ("mnist", "mnist")
    config.method.domain_b.update(name="folder", dir="photographs")
    other = section(config, feeds["B"])
    assert (other.name, other.dir, other.image_size) == ("folder", "photographs", 28)
