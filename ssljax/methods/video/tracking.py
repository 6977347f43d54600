"""Tracking: two patches of one track belong together, and those of other videos do not.

Wang and Gupta, Unsupervised Learning of Visual Representations using Videos (arXiv:1505.00687),
2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.methods.contract import Aux, Task, Turn
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, Question, encode_each, output_of
from ssljax.methods.video.clip_task import ClipTask, frame_keys
from ssljax.methods.video.shuffle_and_learn import mark
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import inner_products

PyTree = Any


class PatchEmbedding(nn.Module):
    """Two fully connected layers on each patch.

    Attributes:
      layer: The encoder's output that is read.
      pool: As in `models.TileEmbedding`.
      hidden_dim: Units of the first layer.
      embedding_dim: Units of the second.
      dtype: Type of the arithmetic.
    """

    layer: str
    pool: bool
    hidden_dim: int
    embedding_dim: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, encode: Encode, inputs: Float[Array, "batch 2 size size channels"], train: bool
    ) -> Outputs:
        """Embeds both patches of each track.

        Args:
          encode: The encoder.
          inputs: The patches.
          train: Unread; there is nothing that differs.

        Returns:
          "embeddings" (batch, 2, embedding_dim), after a ReLU and not scaled to length 1;
          "features" (batch, dim) of the first patch.
        """
        outputs = encode_each(encode, inputs)
        x = output_of(outputs, self.layer)
        x = models.TileEmbedding(
            self.hidden_dim, "relu", False, self.pool, self.dtype, name="patch"
        )(x, train)
        embed = models.FullyConnected(self.embedding_dim, "relu", False, self.dtype, name="fc7")
        embedded = embed(x, train).astype(jnp.float32)
        return {"embeddings": embedded, "features": outputs["features"][:, 0]}


class TrackingTask(ClipTask):
    """The patches at both ends of a track are nearer to each other than to those of other videos.

    A clip is a track, of two patches. Negatives are patches of the batch. As in the authors' code,
    they are of other videos: the data say of which video a track is, as folders VIDEO/TRACK/0.jpg
    do; where they do not, every track counts as a video. The video says no more than which
    negatives may be drawn, in the loss and in the task's own score alike. Classes are not read.

    A patch at the frame's border shows the border, in the same place as the other end of its track
    does. By default a strip along all edges is cut off, and both patches are cut from places of
    their own, which the authors do not do: their patches are shown as wholes.

    Its own score is the share of the batch's patches of other videos that are further from a
    track's first patch than its second is.
    """

    fields = ("clip", "video")

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        if not 0 <= config.hard <= config.negatives:
            raise ValueError(
                f"method.hard={config.hard} of the method.negatives={config.negatives} are of the "
                "hardest: it must be from 0 to all of them."
            )
        self.config = config
        self.set_frames(config, task, frames=2)
        if not config.encoder_norm:
            self.encoder_options = {"norm": models.NoNorm}
        self.head = PatchEmbedding(
            config.layer, config.pool, config.hidden_dim, config.embedding_dim, dtype
        )
        self.chance = {"ranking_accuracy": 0.5}

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values, and precautions against the frame's border."""
        view = augment.ViewPolicy(
            227, crop_scale=None, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD
        )
        return ConfigDict(
            dict(
                margin=0.5,  # In the authors' code 1.
                negatives=4,  # Of each pair.
                hard=2,  # How many of them are of the hardest, once the first epochs are over.
                random_epochs=10.0,  # In which all are drawn at random.
                encoder_norm=True,  # Whether the encoder has norms.
                layer="features",  # The encoder's output that the head reads.
                pool=False,  # Whether that is a map that is pooled first.
                hidden_dim=4096,  # Units of fc6.
                embedding_dim=1024,  # Units of fc7.
                **frame_keys(view, jitter=6, border=8),
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Cuts the patches, and draws the numbers by which negatives are taken."""
        views_key, draws_key = jax.random.split(key)
        inputs = self.frames_of(views_key, images)
        batch = inputs.shape[0]
        each = augment.example_keys(draws_key, batch)
        draws = jax.vmap(lambda own: jax.random.uniform(own, (batch, 2, 2)))(each)
        unknown = jnp.full((batch,), -1, jnp.int32)
        targets = {
            "draws": draws,
            "video": images.get("video", unknown),
            # A row of index -1 fills a batch up: it is no track.
            "there": images.get("index", jnp.zeros_like(unknown)) >= 0,
            "hard": jnp.broadcast_to(jnp.int32(self.config.hard), (batch,)),
        }
        return Question(inputs, targets)

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The ranking loss, with as many hard negatives as the targets say."""
        loss = losses.siamese_triplet(
            outputs["embeddings"],
            targets["draws"],
            targets["video"],
            self.config.margin,
            self.config.negatives,
            targets["hard"][0],
        )
        return loss, {"hard_negatives": targets["hard"][0].astype(jnp.float32)}

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """The share of the other videos' patches that are further; 1/2 where there are none."""
        own, others, compared = self._cosines(outputs, targets)
        further = jnp.sum(((others < own[:, None]) & compared).astype(jnp.float32), axis=1)
        count = jnp.sum(compared.astype(jnp.float32), axis=1)
        shares = jnp.where(count > 0, further / jnp.maximum(count, 1.0), 0.5)
        return {"ranking_accuracy": shares}

    def _cosines(
        self, outputs: Outputs, targets: Any
    ) -> tuple[Float[Array, " batch"], Float[Array, "batch all"], Bool[Array, "batch all"]]:
        """Of each first patch with its second and with all, and which of all are compared."""
        z = l2_normalize(outputs["embeddings"])
        others = inner_products(z[:, 0], z.reshape(-1, z.shape[-1]))
        compared = losses.other_groups(targets["video"]) & targets["there"][None]
        return jnp.sum(z[:, 0] * z[:, 1], axis=-1), others, jnp.repeat(compared, 2, axis=1)

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """Both patches, the nearest one of another video, and a green or a red square.

        Green means that the second patch is nearer than all of other videos.
        """
        seen = self.to_pixels(question.inputs)
        own, others, compared = self._cosines(outputs, question.targets)
        others = jnp.where(compared, others, -jnp.inf)
        nearest = seen.reshape(-1, *seen.shape[2:])[jnp.argmax(others, axis=1)]
        right = own > jnp.max(others, axis=1)
        return jnp.concatenate([seen, nearest[:, None], mark(right, seen)], axis=1)


class Tracking(PretextMethod):
    """Siamese triplets of tracked patches: random negatives first, then hard ones."""

    task_type = TrackingTask

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        self.random_steps = round(config.method.random_epochs * task.steps_per_epoch)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The task's loss; in the first epochs all negatives are drawn at random."""
        targets = turn.views.targets
        is_later = turn.state.step >= self.random_steps
        hard = jnp.where(is_later, targets["hard"], 0)
        return self.mark(*self.forward(params, turn), targets | {"hard": hard})
