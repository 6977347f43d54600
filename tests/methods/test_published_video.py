"""Configs of the order of frames and of tracked patches: the authors' numbers, traced."""

import jax
import jax.numpy as jnp
import pytest
from published import check, load, numbers

from ssljax import methods
from ssljax.methods.contract import Task
from ssljax.run.step import init_state

CAFFE = {
    "model.encoder.name": "alexnet",
    "model.encoder.widths": (96, 256, 384, 384, 256),
    "method.layer": "conv5",
    "method.pool": True,
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.9,
    "optimizer.schedule": "step",
    "optimizer.step_factor": 0.1,
    "decay": 5e-4,
}
# Where most moves, as in the papers; how much and how far apart is ours.
WINDOWS = {"data.stride": 6, "data.hop": 3, "data.motion": 0.5}
# As in `test_published`.
PUBLISHED = {
    "tracking/folder.py": CAFFE
    | {
        "batch_size": 100,
        "steps": 400_000,
        "data.frames": 2,
        "method.view.size": 227,
        "method.margin": 1.0,
        "method.negatives": 4,
        "method.hard": 2,
        "method.random_epochs": 10.0,
        "method.encoder_norm": False,
        "method.hidden_dim": 4096,
        "method.embedding_dim": 1024,
        "optimizer.step_fractions": (0.25, 0.5, 0.75),  # Every 100,000.
        "rate": 1e-3,
    },
    "shuffle_and_learn/folder.py": CAFFE
    | {
        "batch_size": 32,  # With all four tuples of each clip.
        "steps": 100_000,
        "data.frames": 5,
        **WINDOWS,
        "method.form": "tuples",
        "method.positives": 0.25,
        "method.view.size": 227,
        "method.encoder_affine": False,
        "method.embedding_dim": 4096,
        "method.hidden_dim": 4096,
        "method.order_dim": 0,
        "optimizer.step_fractions": (0.8,),  # After 80,000.
        "rate": 1e-3,
    },
    "shuffle_and_learn/folder.py:sorting": {
        "batch_size": 128,
        "steps": 200_000,
        "data.frames": 4,
        **WINDOWS,
        "method.form": "sorting",
        "method.channel_splitting": True,
        "method.view.size": 80,
        "method.embedding_dim": 1024,
        "method.hidden_dim": 512,
        "optimizer.step_fractions": (0.65, 0.9),
        "rate": 0.01,
    },
}


@pytest.mark.parametrize(("path", "key"), numbers(PUBLISHED))
def test_the_authors_number(path, key):
    check(PUBLISHED, path, key)


@pytest.mark.parametrize("path", PUBLISHED)
def test_clips_are_answered_about_and_whole_images_seen(path):
    config = load(path)
    side = config.data.image_size
    task = Task((side, side, 3), config.batch_size, config.steps, 1000.0, num_images=100_000)
    method = methods.build(config, task)
    state = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))
    clips = jax.ShapeDtypeStruct((4, config.data.frames, side, side, 3), jnp.uint8)

    def ask(state, clips):
        index = jnp.arange(4)
        scores = method.solve(state, {"clip": clips, "index": index}, jax.random.key(0))
        return scores, method.features(state, clips[:, 0])

    scores, features = jax.eval_shape(ask, state, clips)
    assert {name: x.shape for name, x in scores.items()} == dict.fromkeys(method.chance(), (4,))
    assert features.keys() >= {"features", *config.evals.stages}
