"""The method of one pretext task: one player, an encoder with the task's head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8
from ml_collections import ConfigDict

from ssljax import augment, metrics, models
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Feed, Method, Task, TrainState, Turn
from ssljax.methods.pretext_task import Encode, EncoderWithTask, Outputs, PretextTask, Question

PyTree = Any


class PretextMethod(Method):
    """One player, "online", that answers the questions of one task.

    A subclass names the task. It is the `protocols.PretextSolver` of evaluations.

    Attributes:
      task_type: The task.
      pretext: The task, built.
      network: The encoder with the task's head.
    """

    roles: ClassVar = {"encoder": models.ENCODER}
    task_type: type[PretextTask]

    def __init__(self, config: ConfigDict, task: Task) -> None:
        encoder = config.model.encoder
        self.pretext = self.task_type(config.method, task, encoder.dtype)
        self.policies = self.pretext.policies
        self.network = EncoderWithTask(self.build_encoder(encoder), self.pretext.head)
        self.image_shape = task.image_shape
        self.players = (passes.online_player(self.loss, config, task),)

    @classmethod
    def default_config(cls) -> ConfigDict:
        """The keys of the task."""
        return cls.task_type.default_config()

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """Images or clips, and what else the task reads of a record."""
        fields = cls.task_type.fields
        return {"clips" if "clip" in fields else "images": Feed(fields)}

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the encoder and the head."""
        inputs = example_inputs(self.pretext, self.image_shape)
        variables = dict(self.network.init(key, inputs, False))
        return {"online": variables.pop("params")}, {"online": variables}, ()

    def build_encoder(self, config: ConfigDict) -> nn.Module:
        """Makes an encoder as the task needs it, by `config.model.encoder`."""
        built = models.encoder_from_config(config, **self.pretext.encoder_options)
        return self.pretext.wrap(built)

    def views(self, key: PRNGKeyArray, batch: Batch) -> Question:
        """Makes the questions."""
        (fields,) = batch.values()
        return self.pretext.ask(key, fields)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The task's loss, with batch statistics over all that is seen of the batch's images."""
        return self.mark(*self.forward(params, turn), turn.views.targets)

    def forward(self, params: PyTree, turn: Turn) -> tuple[Outputs, dict[str, PyTree]]:
        """The answers in training mode, and the collections that the pass changed."""
        outputs: Outputs
        outputs, variables = passes.forward(
            self.network, params, turn.state.variables["online"], turn.views.inputs, turn.key
        )
        return outputs, variables

    def mark(
        self, outputs: Outputs, variables: dict[str, PyTree], targets: PyTree
    ) -> tuple[Array, Aux]:
        """The task's loss of answers, and what is logged and carried of them."""
        loss, logged = self.pretext.loss(outputs, targets)
        scores = self.pretext.scores(outputs, targets)
        logged |= {name: jnp.mean(score) for name, score in scores.items()}
        features = outputs["features"]
        return loss, Aux(
            variables=variables,
            metrics=logged | metrics.collapse_metrics(features),
            carry={"features": features},
        )

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the encoder on the whole images."""
        network = self.network.encoder
        weights = encoder_weights(state.params["online"], state.variables["online"])

        def encode(images: Array) -> Outputs:
            outputs: Any = network.apply(weights, images, False)
            return outputs

        return self.encode_whole(encode, images)

    def encode_whole(self, encode: Encode, images: Array) -> Outputs:
        """Encodes whole images as the task has it."""
        return self.pretext.features(encode, images)

    @property
    def seen_only(self) -> bool:
        """Whether only images of the training set can be asked about."""
        return self.pretext.seen_only

    def chance(self) -> Mapping[str, float]:
        """The task's scores by name, for a guess."""
        return self.pretext.chance

    def solve(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> dict[str, Float[Array, " batch"]]:
        """Asks about images and marks the answer about each."""
        question, outputs = self._answer(state, images, key)
        return self.pretext.scores(outputs, question.targets)

    def guess(
        self, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> dict[str, Float[Array, " batch"]]:
        """Asks about images and marks a guess about each."""
        return self.pretext.guess(self.pretext.ask(key, images))

    def show(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> UInt8[Array, "batch columns height width channels"]:
        """Shows what is seen of each image, what is said, and what would be right."""
        question, outputs = self._answer(state, images, key)
        picture = self.pretext.picture(outputs, question)
        return augment.to_bytes(picture)

    def _answer(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> tuple[Question, Outputs]:
        question = self.pretext.ask(key, images)
        network = {"params": state.params["online"], **state.variables["online"]}
        outputs: Any = self.network.apply(network, question.inputs, False)
        return question, outputs


def encoder_weights(params: PyTree, variables: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """What the encoder of an `EncoderWithTask` is applied with."""
    collections = {name: part["encoder"] for name, part in variables.items() if "encoder" in part}
    return {"params": params["encoder"], **collections}


def example_inputs(pretext: PretextTask, image_shape: tuple[int, int, int]) -> PyTree:
    """Zeros of the shape of a question's inputs about one image or clip."""
    kind, frames = ("clip", (pretext.frames,)) if pretext.frames else ("image", ())

    def ask(key: PRNGKeyArray, images: Array) -> PyTree:
        fields = dict.fromkeys(pretext.fields, jnp.zeros((1,), jnp.int32)) | {kind: images}
        if "mask" in fields:
            fields["mask"] = jnp.zeros(images.shape[:3], jnp.int32)
        return pretext.ask(key, fields).inputs

    images = jax.ShapeDtypeStruct((1, *frames, *image_shape), jnp.uint8)
    shapes = jax.eval_shape(ask, jax.random.key(0), images)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
