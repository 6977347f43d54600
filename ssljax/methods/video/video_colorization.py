"""Video colorization: where in earlier frames are the colours of a grey one?

Vondrick, Shrivastava, Fathi, Guadarrama and Murphy, Tracking Emerges by Colorizing Videos
(arXiv:1806.09594), 2018.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Num, PRNGKeyArray, UInt8
from ml_collections import ConfigDict

from ssljax import augment, losses, metrics, models
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Task, TrainState, Turn
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question, encode_each
from ssljax.methods.reconstruction import colors
from ssljax.ops import color, color_bins
from ssljax.ops.kmeans import kmeans
from ssljax.ops.propagation import copy_by_similarity

PyTree = Any
Known = tuple[
    Float[Array, "batch references side side dim"],
    Float[Array, "batch references side side things"],
]
"""The encoder's maps of the references, and the shares of labels in their places."""

_ITERATIONS = 20
"""Passes of k-means."""
_MOVING = 10.0
"""Difference of L, of 100, by which a place of two frames shows different things."""


class EmbeddingHead(nn.Module):
    """Embeds each place of the encoder's last maps of a clip.

    Attributes:
      embed: See `models.SpaceTimeHead`.
    """

    embed: models.SpaceTimeHead

    def __call__(self, encode: Encode, inputs: Mapping[str, Array], train: bool) -> Outputs:
        """Embeds the frames of clips.

        Args:
          encode: The encoder of single frames.
          inputs: "lightness" (batch, frames, height, width, 1), the frames' L, centred.
          train: Whether norms use and update batch statistics.

        Returns:
          "embeddings" (batch, frames, side, side, dim), and "features" (batch, dim) of the last
          frame.
        """
        outputs = encode_each(encode, inputs["lightness"])
        name = models.map_names({name: x[:, 0] for name, x in outputs.items()})[-1]
        return {
            "embeddings": self.embed(outputs[name], train),
            "features": outputs["features"][:, -1],
        }


class VideoColorizationTask(PretextTask):
    """The last frame of a clip takes its colours from the frames before it, the references.

    All frames are seen by their L alone. A place's colour is that of a single pixel, as it is in
    `colorization`. All frames of a clip are cut alike.

    The scores are of the colours that are copied at `test_temperature`: the accuracy of the bin of
    ab, of the 314 of `colorization`, that is copied most, and the closeness of their mean. Those of
    a guess are of what the frame before has at the same place, which is right wherever nothing
    moves. Accuracy and closeness are also told of the places that move alone, those whose L is not
    that of the frame before: neither colours nor the network say which these are.
    """

    fields: ClassVar[tuple[str, ...]] = ("clip",)

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        self.view = augment.view_from_config(config.view)
        colors.check_colors("video_colorization", self.view, 1, task)
        if config.references < 1:
            raise ValueError(
                f"method.references is {config.references}; colours are copied from 1 frame or "
                "more."
            )
        self.frames = config.references + 1
        self.temperature = config.test_temperature
        self.places = 0  # Along a side of the encoder's last map, which the method knows.
        embed = models.SpaceTimeHead(
            config.embedding_dim, config.head_layers, config.head_dim, jnp.dtype(dtype)
        )
        self.head = EmbeddingHead(embed)
        self.coding = colors.Coding(
            color_bins.gamut_bins(10.0), 1, 1.0, 1.0, 150.0, (0.0, 0.0), colors.AB_SCALE
        )
        self.chance = dict.fromkeys(
            [f"{x}_{y}" for x in ("color", "moving") for y in ("accuracy", "closeness")], math.nan
        )

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values; how the clusters are found is our choice."""
        view = augment.ViewPolicy(256, crop_scale=None, flip_p=0.0)
        return ConfigDict(
            dict(
                references=3,  # Frames before the last: clips have one frame more.
                clusters=16,  # Of ab, by k-means.
                # Train steps that only collect colours for it, and colours of each of their clips.
                cluster_steps=32,
                points=64,
                embedding_dim=64,
                head_layers=5,  # 3-D convolutions; 0: each frame is embedded by itself.
                head_dim=256,
                temperature=1.0,  # In training.
                test_temperature=0.5,
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Takes the colours off clips.

        Raises:
          ValueError: If clips have another number of frames.
        """
        clips = images["clip"]
        if clips.shape[1] != self.frames:
            raise ValueError(
                f"clips have {clips.shape[1]} frames, and method.references={self.frames - 1} "
                f"wants {self.frames}: set data.frames={self.frames}."
            )
        view = self._cut(key, clips)
        lab = color.srgb_to_lab(view)
        batch, frames, *shape = lab.shape
        seen = colors.pick(lab.reshape(batch * frames, *shape), self.places)
        seen = seen.reshape(batch, frames, *seen.shape[1:])
        moves = jnp.abs(seen[:, -1, ..., 0] - seen[:, -2, ..., 0]) > _MOVING
        return Question(
            {"lightness": colors.centered(lab)[..., :1]},
            {"ab": seen[..., 1:], "moves": moves, "view": view},
        )

    def _cut(
        self, key: PRNGKeyArray, clips: UInt8[Array, "batch frames height width channels"]
    ) -> Float[Array, "batch frames size size channels"]:
        """One view of each clip: its frames lie on the channels, so that all are cut alike."""
        batch, frames, height, width, channels = clips.shape
        stacked = jnp.moveaxis(clips, 1, 3).reshape(batch, height, width, frames * channels)
        view = augment.make_view(self.view, key, {"image": stacked})
        return jnp.moveaxis(view.reshape(*view.shape[:3], frames, channels), 3, 1)

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """Marks the colours that are copied."""
        references = targets["ab"][:, :-1]
        bins = jax.nn.one_hot(self.coding.nearest(references), len(self.coding.bins))
        classes = jnp.argmax(self.copy(outputs, bins), axis=-1)
        return self._marks(classes, self.copy(outputs, references), targets)

    def copy(
        self, outputs: Outputs, values: Float[Array, "batch references side side labels"]
    ) -> Float[Array, "batch side side labels"]:
        """Copies to the last frame what the others have, at the temperature of tests."""
        embeddings = outputs["embeddings"]
        copied = copy_by_similarity(*as_rows(embeddings), flat(values), self.temperature)
        return copied.reshape(*embeddings[:, -1].shape[:-1], -1)

    def guess(self, question: Question) -> dict[str, Float[Array, " batch"]]:
        """The marks of the frame before, place by place."""
        before = question.targets["ab"][:, -2]
        return self._marks(self.coding.nearest(before), before, question.targets)

    def _marks(
        self, classes: Array, values: Float[Array, "batch side side 2"], targets: Any
    ) -> dict[str, Float[Array, " batch"]]:
        """The marks of what is said of all places, and of those that move."""
        truth = targets["ab"][:, -1]
        of_all = self.coding.marks("color", classes, values, truth)
        return of_all | self.coding.marks("moving", classes, values, truth, targets["moves"])

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The frame before, the last one as it is seen, in the copied colours, and as it is."""
        view = question.targets["view"]
        lightness = color.srgb_to_lab(view[:, -1])[..., :1]
        copied = self.copy(outputs, question.targets["ab"][:, :-1])
        said = colors.spread(copied, view.shape[2])
        grey, painted = (
            color.lab_to_srgb(jnp.concatenate([lightness, ab], axis=-1)) for ab in (0 * said, said)
        )
        return jnp.stack([view[:, -2], grey, painted, view[:, -1]], axis=1)

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """The encoder's outputs for the L of whole images."""
        return encode(colors.centered(colors.lab_view(self.view, images))[..., :1])


def flat(x: Float[Array, "batch *places dim"]) -> Float[Array, "batch all dim"]:
    """The places of all frames in one row."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def as_rows(
    embeddings: Float[Array, "batch frames side side dim"],
) -> tuple[Float[Array, "batch places dim"], Float[Array, "batch sources dim"]]:
    """The places of the last frame, and those of the frames before it."""
    return flat(embeddings[:, -1]), flat(embeddings[:, :-1])


class VideoColorization(PretextMethod):
    """One player; the clusters of colour, and the colours that they are found by, are memory.

    In the first `cluster_steps` steps no parameter moves, the loss is 0, and colours are collected,
    of which k-means then makes the clusters; the paper takes those of 50,000 videos.

    It is a `protocols.Tracker`: any labels may be copied in the place of colours.
    """

    roles: ClassVar = {
        "encoder": models.ENCODER.with_options(
            stem="imagenet",
            output_stride=8,  # Of ResNets, VGGs and the small network.
        )
    }
    task_type = VideoColorizationTask
    pretext: VideoColorizationTask

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        method = config.method
        self.config = method
        rows = method.cluster_steps * config.optimizer.accumulate * task.batch_size
        self.samples = rows * method.points
        if self.samples < method.clusters:
            raise ValueError(
                f"The clusters are found by {self.samples} colours, fewer than "
                f"method.clusters={method.clusters}: raise method.cluster_steps or method.points."
            )
        if task.total_steps <= method.cluster_steps:
            raise ValueError(
                f"The first method.cluster_steps={method.cluster_steps} train steps only collect "
                f"colours, and the run has {task.total_steps}: make it longer."
            )
        self.players = (
            passes.online_player(
                self.loss, config, task, frozen=None, frozen_steps=method.cluster_steps
            ),
        )
        self.pretext.places = self._places()

    def _places(self) -> int:
        """Places along a side of the encoder's last map.

        Raises:
          ValueError: If pixels cannot be taken at equal distances for them.
        """
        size = self.pretext.view.size
        frames = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
        encoder = self.network.encoder
        outputs: Any = jax.eval_shape(
            lambda x: encoder.init_with_output(jax.random.key(0), x, False)[0], frames
        )
        maps = models.map_names(outputs)
        if not maps:
            raise ValueError("the encoder has no maps: choose another config.model.encoder.name.")
        height, width, _ = outputs[maps[-1]].shape[1:]
        if height != width or size % height:
            raise ValueError(
                f"method.view.size={size} is no multiple of the {height}x{width} places of the "
                "encoder's last map."
            )
        return int(height)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes encoder and head, and grey clusters until colours are known."""
        size = self.pretext.view.size
        inputs = {"lightness": jnp.zeros((1, self.pretext.frames, size, size, 1))}
        variables = dict(self.network.init(key, inputs, False))
        memory = {
            "clusters": jnp.zeros((self.config.clusters, 2)),
            "samples": jnp.zeros((self.samples, 2)),
        }
        return {"online": variables.pop("params")}, {"online": variables}, memory

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Cross-entropy of the clusters that are copied, once there are clusters."""
        outputs, variables = self.forward(params, turn)
        ab, clusters = turn.views.targets["ab"], turn.state.memory["clusters"]
        classes = color_bins.soft_encode(ab, clusters, 1)
        queries, keys = as_rows(outputs["embeddings"])
        references, truth = flat(classes[:, :-1]), flat(classes[:, -1])
        loss = losses.copied_color_cross_entropy(
            queries, keys, references, truth, self.config.temperature
        )
        copied = copy_by_similarity(queries, keys, references, self.config.test_temperature)
        right = jnp.argmax(copied, axis=-1) == jnp.argmax(truth, axis=-1)
        waits = turn.state.step < self.config.cluster_steps
        logged = {"cluster_accuracy": jnp.where(waits, 0.0, jnp.mean(right.astype(jnp.float32)))}
        features = outputs["features"]
        return jnp.where(waits, 0.0, loss), Aux(
            variables=variables,
            metrics=logged | metrics.collapse_metrics(features),
            carry={"features": features, "colors": self._drawn(turn.key, ab[:, -1])},
        )

    def _drawn(
        self, key: PRNGKeyArray, ab: Float[Array, "batch side side 2"]
    ) -> Float[Array, "batch points 2"]:
        """Colours of some places of each frame."""
        rows = flat(ab)
        keys = augment.example_keys(key, len(rows))

        def draw(key: PRNGKeyArray, own: Float[Array, "places 2"]) -> Float[Array, "points 2"]:
            return own[jax.random.randint(key, (self.config.points,), 0, len(own))]

        return jax.vmap(draw)(keys, rows)

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Collects the first colours; once all are there, finds their clusters."""
        last = self.config.cluster_steps - 1
        new = carried["colors"].reshape(-1, 2)

        def collect(memory: PyTree) -> PyTree:
            start = (state.step * len(new), 0)
            return memory | {"samples": lax.dynamic_update_slice(memory["samples"], new, start)}

        def cluster(memory: PyTree) -> PyTree:
            found = kmeans(state.key, memory["samples"], self.config.clusters, _ITERATIONS)
            return memory | {"clusters": found.centroids}

        memory = lax.cond(state.step <= last, collect, lambda memory: memory, state.memory)
        memory = lax.cond(state.step == last, cluster, lambda memory: memory, memory)
        return state.replace(memory=memory)

    def start_track(
        self,
        state: TrainState,
        frames: UInt8[Array, "batch height width channels"],
        first: Float[Array, "batch height width things"],
    ) -> Known:
        """Remembers the first frame in the place of all references; see `protocols.Tracker`.

        Frames are resized to the views' size, whatever their form. A place has the label of the
        pixel whose colour would be asked for.
        """
        size, count = self.pretext.view.size, self.pretext.frames - 1
        shape = (len(first), size, size, first.shape[-1])
        labels = colors.pick(jax.image.resize(first, shape, "nearest"), self.pretext.places)
        maps = self._encoded(state, frames)
        return jnp.stack([maps] * count, axis=1), jnp.stack([labels] * count, axis=1)

    def track(
        self, state: TrainState, known: Known, frames: UInt8[Array, "batch height width channels"]
    ) -> tuple[Known, Float[Array, "batch size size things"]]:
        """Copies labels from the frames before to the pixels of views; see `protocols.Tracker`."""
        before, labels = known
        maps = jnp.concatenate([before, self._encoded(state, frames)[:, None]], axis=1)
        outputs: Any = self.network.head.apply(
            _weights(state, "head"),
            lambda x: {"stage1": x, "features": x[:, 0, 0]},
            {"lightness": maps},
            False,
        )
        found = self.pretext.copy(outputs, labels)
        labels = jnp.concatenate([labels[:, 1:], found[:, None]], axis=1)
        return (maps[:, 1:], labels), colors.spread(found, self.pretext.view.size)

    def _encoded(
        self, state: TrainState, frames: UInt8[Array, "batch height width channels"]
    ) -> Float[Array, "batch side side dim"]:
        """The encoder's last maps of whole frames."""
        size = self.pretext.view.size
        resized = augment.resize(augment.to_float(frames), (size, size))
        seen = colors.centered(color.srgb_to_lab(resized))[..., :1]
        outputs: Any = self.network.encoder.apply(_weights(state, "encoder"), seen, False)
        return models.last_map(outputs)


def _weights(state: TrainState, part: str) -> dict[str, PyTree]:
    """What a part of the network is applied with."""
    variables = state.variables["online"]
    return {
        "params": state.params["online"][part],
        **{name: x[part] for name, x in variables.items() if part in x},
    }
