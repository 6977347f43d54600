"""Networks with random weights, as they are exported, and photographs for them to see."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import skimage.data
from ml_collections import ConfigDict
from sklearn.datasets import load_sample_images

from ssljax import methods
from ssljax.config.base import base_config
from ssljax.export.subject import Subject
from ssljax.methods.contract import Task
from ssljax.run.step import init_state

SIDE = 40
VIEW = dict(size=32, mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26))


@functools.cache
def photographs(count: int = 5, side: int = SIDE) -> np.ndarray:
    """The middle squares of photographs, bytes (count, side, side, 3); count is 6 at most."""
    names = (skimage.data.astronaut, skimage.data.chelsea, skimage.data.coffee, skimage.data.rocket)
    made = []
    for whole in (*load_sample_images().images, *(read() for read in names))[:count]:
        height, width, _ = whole.shape
        edge = min(height, width)
        top, left = (height - edge) // 2, (width - edge) // 2
        square = whole[top : top + edge, left : left + edge]
        made.append(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA))
    return np.stack(made)


def subject(method: str = "simclr", side: int = SIDE, **encoder) -> Subject:
    """A method whose every parameter and statistic is random, after 7 steps."""
    config = base_config(method)
    config.optimizer.name = "adamw"
    config.data.update(name="photographs", image_size=side, channels=3)
    for view in config.method.values():
        if isinstance(view, ConfigDict) and "crop_scale" in view:
            view.update(VIEW)
    with config.unlocked():
        config.model.encoder = ConfigDict(config.model.encoder.to_dict() | encoder)
        if "out_dim" in config.method:
            config.method.out_dim = 16
    task = Task((side, side, 3), batch_size=4, total_steps=8, steps_per_epoch=1.0)
    built = methods.build(config, task)
    shapes = jax.eval_shape(lambda: init_state(built, jax.random.key(0)))
    rng = np.random.default_rng(1)

    def drawn(path, x):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name.endswith(("var", "scale")):
            return rng.uniform(0.5, 1.0, x.shape).astype(np.float32)
        size = np.sqrt(2.0 / np.prod(x.shape[:-1])) if name.endswith("kernel") else 0.1
        return (size * rng.standard_normal(x.shape)).astype(np.float32)

    drawn_parts = {
        part: jax.tree_util.tree_map_with_path(drawn, getattr(shapes, part))
        for part in ("params", "variables", "memory")
    }
    drawn_parts = jax.tree.map(jnp.asarray, drawn_parts)
    state = shapes.replace(**drawn_parts, step=np.int32(7), opt_state={}, key=None)
    return Subject(config, built, state, (side, side, 3))
