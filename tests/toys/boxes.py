"""An image and boxes, padded to a fixed count: in which cells does the middle of a thing lie?"""

import jax
import jax.numpy as jnp
import optax

from ssljax.methods.contract import Aux, Feed, Method, Player


class Cells(Method):
    """A grid of cells, each with a linear judge of its own pixels.

    A row of boxes is (top, left, bottom, right, class) in pixels; -1 where there is none.
    """

    cell = 4

    def __init__(self, config, task):
        self.shape = task.image_shape
        self.grid = task.image_shape[0] // self.cell
        self.players = (Player("online", self.loss, optax.sgd(1.0)),)

    @classmethod
    def feeds(cls, config):
        return {"images": Feed(("image", "boxes"))}

    def init(self, key):
        pixels = self.cell**2 * self.shape[-1]
        return {"online": {"kernel": jnp.zeros((pixels,)), "bias": jnp.zeros(())}}, {}, ()

    def views(self, key, batch):
        return batch["images"]["image"], self.targets(batch["images"]["boxes"])

    def targets(self, boxes):
        """1 for each cell with the middle of a box."""
        middle = (boxes[..., :2] + boxes[..., 2:4]) / 2 // self.cell
        places = (middle[..., 0] * self.grid + middle[..., 1]).astype(jnp.int32)
        there = (boxes[..., 4] >= 0)[..., None]
        return jnp.any(jax.nn.one_hot(places, self.grid**2, dtype=bool) & there, axis=1)

    def logits(self, params, images):
        g, c = self.grid, self.cell
        cells = images.astype(jnp.float32).reshape(len(images), g, c, g, c, -1) / 255
        cells = jnp.swapaxes(cells, 2, 3).reshape(len(images), g * g, -1)
        return cells @ params["kernel"] + params["bias"]

    def loss(self, params, turn):
        images, targets = turn.views
        logits = self.logits(params, images)
        losses = optax.sigmoid_binary_cross_entropy(logits, targets.astype(jnp.float32))
        hits = ((logits > 0) == targets).astype(jnp.float32)
        return jnp.mean(losses), Aux(metrics={"accuracy": jnp.mean(hits)})

    def features(self, state, images):
        return {"features": self.logits(state.params["online"], images)}

    def detect(self, state, images):
        logits = self.logits(state.params["online"], images)
        corner = self.cell * jnp.stack(jnp.divmod(jnp.arange(self.grid**2), self.grid), axis=1)
        boxes = jnp.concatenate([corner, corner + self.cell, jnp.zeros_like(corner[:, :1])], axis=1)
        scores, order = jax.lax.top_k(jax.nn.sigmoid(logits), logits.shape[1])
        found = jnp.concatenate([boxes[order].astype(jnp.float32), scores[..., None]], axis=2)
        return jnp.where(scores[..., None] > 0.5, found, -1.0)
