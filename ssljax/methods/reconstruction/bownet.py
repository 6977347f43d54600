"""BoWNet: from a disturbed image, which visual words does a finished network find in it?

Gidaris, Bursuc, Komodakis, Pérez and Cord, Learning Representations by Predicting Bags of Visual
Words, 2020.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray, UInt8
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.augment.cutmix import cutmix
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Method, Task, TrainState, Turn
from ssljax.methods.joint_embedding import embedding_queue
from ssljax.methods.pretext_method import encoder_weights
from ssljax.methods.reconstruction.bag_of_words import last_stages, to_bytes
from ssljax.methods.reconstruction.word_prediction import WordPrediction
from ssljax.metrics import collapse_metrics
from ssljax.ops.kmeans import kmeans
from ssljax.ops.queue import enqueue
from ssljax.ops.visual_words import hard_histograms, local_features, word_distances

PyTree = Any


class EncoderWithWords(nn.Module):
    """An encoder, and the words that its features are compared with.

    Attributes:
      encoder: The student.
      words: See `CosineWords`.
    """

    encoder: nn.Module
    words: models.CosineWords

    def __call__(
        self, images: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Array]:
        """Gives the encoder's outputs, and "logits" of the words (batch, words)."""
        outputs: dict[str, Array] = dict(self.encoder(images, train))
        return outputs | {"logits": self.words(outputs["features"])}


class BoWNet(WordPrediction):
    """One player, the student; a finished network, the teacher, and its vocabulary are memory.

    `config.init.workdir` names the teacher's run, a RotNet's in the paper; its encoder must be like
    the student's. The first steps only fill a queue with the teacher's features, of one random
    place of each image, which k-means then makes the vocabulary of: until then the loss is 0 and no
    parameter moves. The authors cluster the features of all places of the training set. A finished
    run may be the teacher of the next.
    """

    @staticmethod
    def default_config() -> ConfigDict:
        """Our choice for CIFAR-10; the scale is learnt, and this is where it starts."""
        clean = augment.ViewPolicy(
            32,
            crop_scale=None,
            flip_p=0.0,
            mean=presets.CIFAR10_MEAN,
            std=presets.CIFAR10_STD,
        )
        disturbed = dataclasses.replace(
            clean,
            crop_scale=(0.3, 1.0),
            flip_p=0.5,
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.1,
            gray_p=0.2,
        )
        return ConfigDict(
            dict(
                words=2048,
                queue_size=32768,  # Features that are clustered.
                kmeans_iterations=20,
                level=1,  # The teacher's map that words are found in: 1 is its last stage, 2 ...
                scale=10.0,
                cutmix_p=0.0,  # That a box of another image is pasted over one.
                view=ConfigDict(dataclasses.asdict(clean)),  # The teacher's.
                student_view=ConfigDict(dataclasses.asdict(disturbed)),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.config, self.task = method, task
        if task.source is None:
            raise ValueError(
                "BoWNet finds words with a finished network: set config.init.workdir to that of a "
                'run, such as one of the method "rotation".'
            )
        images = embedding_queue.images_per_update(method.queue_size, config, task)
        if not 0 < method.words <= method.queue_size:
            raise ValueError(
                f"words is {method.words}; it must be from 1 to queue_size={method.queue_size}, "
                "the features that are clustered."
            )
        if method.cutmix_p and task.batch_size % 2:
            raise ValueError(
                f"cutmix_p={method.cutmix_p} pairs the images of a batch, and batch_size is "
                f"{task.batch_size}: make it even."
            )
        self.period = method.queue_size // images
        if task.total_steps <= self.period:
            raise ValueError(
                f"The first {self.period} train steps only fill the queue, and the run has "
                f"{task.total_steps}: make it longer, or queue_size smaller."
            )
        self.view = augment.view_from_config(method.view)
        self.student_view = augment.view_from_config(method.student_view)
        trained = getattr(getattr(task.source, "pretext", task.source), "view", self.view)
        if (trained.mean, trained.std) != (self.view.mean, self.view.std):
            raise ValueError(
                f"method.view has mean {self.view.mean} and std {self.view.std}, and the teacher "
                f"was trained with {trained.mean} and {trained.std}: set both to the teacher's."
            )
        self.policies = [(self.view, 1), (self.student_view, 1)]
        encoder = self.build_encoder(config.model.encoder)
        self.teacher = encoder
        self.network = EncoderWithWords(encoder, models.CosineWords(method.words, method.scale))
        size, channels = self.view.size, task.image_shape[-1]
        stages = last_stages(encoder, (size, size, channels), method.level)
        self.stage, shape = next(iter(stages.items()))
        self.channels = shape[-1]
        size = self.student_view.size
        self.image_shape = (size, size, channels)
        player = passes.online_player(
            self.loss, config, task, frozen=None, frozen_steps=self.period
        )
        self.players = (player,)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the student, and an untrained teacher for `start_from` to replace."""
        params, variables = passes.init(self.network, key, self.image_shape)
        memory = {
            "teacher": jax.tree.map(jnp.copy, encoder_weights(params, variables)),
            "queue": jnp.zeros((self.config.queue_size, self.channels)),
            "pointer": jnp.zeros((), jnp.int32),
            "vocabulary": jnp.zeros((self.config.words, self.channels)),
        }
        return {"online": params}, {"online": variables}, memory

    def start_from(self, state: TrainState, source: Method, source_state: TrainState) -> TrainState:
        """Takes the teacher; the student stays untrained."""
        taken = encoder_weights(*source.trained_weights(source_state))
        own = state.memory["teacher"]
        if jax.tree.map(jnp.shape, taken) != jax.tree.map(jnp.shape, own):
            raise ValueError(
                "The encoder of the run in config.init.workdir is not like this run's: set "
                "config.model.encoder to that of the other run."
            )
        return state.replace(memory=state.memory | {"teacher": taken})

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes the clean and the disturbed view of each image, and a key for each."""
        clean, disturbed = augment.make_views(key, batch["images"], self.policies)
        keys = augment.example_keys(jax.random.fold_in(key, 2), clean.shape[0])
        return {"clean": clean, "disturbed": disturbed, "keys": keys}

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Divergence from the words of the clean image, 0 until there is a vocabulary."""
        views, memory = turn.views, turn.state.memory
        maps = self._maps(memory, views["clean"])
        targets = self._words(memory, maps)
        images = views["disturbed"]
        if self.config.cutmix_p:
            keys = augment.fold_keys(views["keys"], 0)
            images, targets = cutmix(keys, images, targets, self.config.cutmix_p)
        outputs, variables = passes.forward(
            self.network, params, turn.state.variables["online"], images, turn.key
        )
        known = turn.state.step >= self.period
        cost = jnp.where(known, losses.bag_of_words(outputs["logits"], targets), 0.0)
        new = local_features(augment.fold_keys(views["keys"], 1), maps, window=1)
        features = outputs["features"]
        metrics = collapse_metrics(features) | {"scale": params["words"]["scale"]}
        carry = {"features": features, "found": new, "key": turn.key[None]}
        return cost, Aux(variables, metrics, carry)

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Fills the queue, and once it is full makes the vocabulary."""
        memory = state.memory
        queue, pointer = enqueue(memory["queue"], memory["pointer"], carried["found"])
        fills = state.step < self.period
        queue = jnp.where(fills, queue, memory["queue"])
        pointer = jnp.where(fills, pointer, memory["pointer"])

        def cluster(queue: Array) -> Array:
            key, iterations = carried["key"][0], self.config.kmeans_iterations
            return kmeans(key, queue, self.config.words, iterations).centroids

        vocabulary = lax.cond(
            state.step + 1 == self.period, cluster, lambda _: memory["vocabulary"], queue
        )
        return state.replace(
            memory=memory | {"queue": queue, "pointer": pointer, "vocabulary": vocabulary}
        )

    def _maps(self, memory: PyTree, images: Array) -> Float[Array, "batch height width channels"]:
        """What the teacher, in evaluation mode, finds at every place."""
        outputs: Any = self.teacher.apply(memory["teacher"], images, False)
        maps: Array = outputs[self.stage]
        return maps

    def _words(self, memory: PyTree, maps: Array) -> Float[Array, "batch words"]:
        """The share of the places that have each word."""
        nearest = jnp.argmin(word_distances(maps, memory["vocabulary"]), axis=-1)
        return hard_histograms(nearest, self.config.words)

    def show(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> UInt8[Array, "batch columns height width channels"]:
        """What is seen, the image whose words are most like those said, and the image itself."""
        divergences, views = self._compare(state, images, key)
        clean = views["clean"]
        seen = jax.image.resize(views["disturbed"], clean.shape, "linear")
        likest = clean[jnp.argmin(divergences, axis=1)]
        return to_bytes(self.view, jnp.stack([seen, likest, clean], axis=1))

    def _compare(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> tuple[Float[Array, "batch batch"], PyTree]:
        """How far each prediction is from each image's words, and the views of the images."""
        views = self.views(key, {"images": images})
        targets = self._words(state.memory, self._maps(state.memory, views["clean"]))
        weights = {"params": state.params["online"], **state.variables["online"]}
        outputs: Any = self.network.apply(weights, views["disturbed"], False)
        return losses.word_divergences(outputs["logits"], targets), views
