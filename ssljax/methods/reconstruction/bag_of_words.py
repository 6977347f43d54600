"""OBoW: from crops, a student predicts which visual words a slower teacher finds in the image.

Gidaris, Bursuc, Puy, Komodakis, Cord and Pérez, OBoW: Online Bag-of-Visual-Words Generation for
Self-Supervised Learning, 2021.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.scipy.special import entr
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Task, TrainState, Turn
from ssljax.methods.joint_embedding import embedding_queue, target_network
from ssljax.methods.pretext_method import encoder_weights
from ssljax.methods.reconstruction.word_prediction import WordPrediction
from ssljax.metrics import collapse_metrics
from ssljax.ops.averages import moving_average
from ssljax.ops.queue import enqueue
from ssljax.ops.visual_words import local_features, soft_histograms, word_distances

PyTree = Any
Maps = list[Float[Array, "batch _height _width _channels"]]

_BORDER = 1
"""Places at each edge of a map that are left out, where it has more than two in a row."""
_KEEP = 0.99
"""Share of the old value in each step of the mean smallest distance."""
_FIRST_DISTANCE = 0.5


class StudentWithWords(nn.Module):
    """An encoder, and for each level of the teacher a head that predicts its words.

    Attributes:
      encoder: The student.
      levels: Number of heads.
      scale: Of the heads, see `GeneratedWords`.
      dtype: Type of the heads' arithmetic.
    """

    encoder: nn.Module
    levels: int
    scale: float
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        groups: Sequence[Float[Array, "batch _crops _height _width channels"]],
        vocabularies: Sequence[Float[Array, "words _channels"]],
        train: bool,
    ) -> list[dict[str, Any]]:
        """Predicts the words of the images that crops are of.

        Args:
          groups: Crops of one size each; the crops of an image lie side by side.
          vocabularies: Those of the levels.
          train: Whether norms use and update batch statistics.

        Returns:
          For each group "features" (batch, crops, dim), and "logits", for each level (batch, crops,
          words).
        """
        encoded = []
        for crops in groups:
            batch, count, *shape = crops.shape
            features = self.encoder(crops.reshape(batch * count, *shape), train)["features"]
            encoded.append(features.reshape(batch, count, -1))
        # All crops in one pass of each head, whose statistics are the vocabulary's.
        joined = jnp.concatenate(encoded, axis=1)
        batch, count, dim = joined.shape
        logits = []
        for level, vocabulary in enumerate(vocabularies, start=1):
            head = models.GeneratedWords(self.scale, self.dtype, name=f"words{level}")
            flat = head(joined.reshape(-1, dim), vocabulary, train)
            logits.append(flat.reshape(batch, count, -1))
        outputs, first = [], 0
        for features in encoded:
            last = first + features.shape[1]
            outputs.append({"features": features, "logits": [x[:, first:last] for x in logits]})
            first = last
        return outputs


class BagOfWords(WordPrediction):
    """One player, the student; the teacher and its vocabularies are memory.

    Each of the encoder's last maps is a level with words of its own: a queue of features that the
    teacher has found about random places of earlier images. The small crops are drawn anywhere, and
    not from a grid of nine as in the authors' code.
    """

    @staticmethod
    def default_config() -> ConfigDict:
        """The authors' values for ResNet-50 on ImageNet."""
        jitter = augment.ViewPolicy(
            160,
            crop_scale=(0.08, 0.6),
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.1,
            gray_p=0.2,
            blur_p=0.5,
            mean=presets.IMAGENET_MEAN,
            std=presets.IMAGENET_STD,
        )
        # 96 pixels of the 256 of a crop of 0.6 to 1 of the image.
        small = dataclasses.replace(jitter, size=96, crop_scale=(0.084, 0.141), blur_p=0.0)
        whole = augment.ViewPolicy(
            224, crop_scale=None, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD
        )
        return ConfigDict(
            dict(
                levels=2,  # Last stages of the encoder.
                queue_size=8192,  # Words of each level.
                inverse_temperature=15.0,  # 10 for ResNet-18.
                scale=8.0,  # 5 for ResNet-18.
                momentum=0.99,  # At the start; it climbs to 1.
                crops=2,
                local_crops=5,
                # Of an image's shorter side the share that the teacher sees: 224 pixels of 256.
                center=0.875,
                view=ConfigDict(dataclasses.asdict(whole)),  # The teacher's.
                crop_view=ConfigDict(dataclasses.asdict(jitter)),
                local_view=ConfigDict(dataclasses.asdict(small)),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.config, self.task = method, task
        embedding_queue.images_per_update(method.queue_size, config, task)
        if method.crops < 1 or method.local_crops < 0:
            raise ValueError(
                f"crops is {method.crops} and local_crops {method.local_crops}; the student needs "
                "one crop or more, and no fewer than 0 small ones."
            )
        if not 0.0 < method.center <= 1.0:
            raise ValueError(
                f"method.center is {method.center}; it is a share of the image and must be above 0 "
                "and at most 1."
            )
        self.view = augment.view_from_config(method.view)
        self.policies = [
            (self.view, 1),
            (augment.view_from_config(method.crop_view), method.crops),
            (augment.view_from_config(method.local_view), method.local_crops),
        ]
        encoder = self.build_encoder(config.model.encoder)
        self.teacher = target_network.without_drop_path(encoder)
        self.network = StudentWithWords(
            encoder, method.levels, method.scale, config.model.encoder.dtype
        )
        self.channels = task.image_shape[-1]
        self.shapes = self._map_shapes()
        self.players = (passes.online_player(self.loss, config, task),)

    def _map_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the maps whose words are predicted, by name."""
        size = self.view.size
        return last_stages(self.teacher, (size, size, self.channels), self.config.levels)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the student, the teacher as its copy, and vocabularies of random words."""
        network_key, words_key = jax.random.split(key)
        vocabularies = []
        for level, shape in enumerate(self.shapes.values()):
            words = jax.random.normal(
                jax.random.fold_in(words_key, level), (self.config.queue_size, shape[-1])
            )
            vocabularies.append(jax.nn.relu(words))
        size = self.policies[1][0].size
        crops = [jnp.zeros((1, 1, size, size, self.channels))]
        variables = dict(self.network.init(network_key, crops, vocabularies, False))
        params = variables.pop("params")
        weights = encoder_weights(params, variables)
        teacher = jax.tree.map(jnp.copy, weights)
        memory = {
            "teacher": teacher.pop("params"),
            "teacher_variables": teacher,
            "queues": vocabularies,
            "pointers": [jnp.zeros((), jnp.int32) for _ in vocabularies],
            "distances": jnp.full(len(vocabularies), _FIRST_DISTANCE),
        }
        return {"online": params}, {"online": variables}, memory

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes the teacher's view of each image, the student's crops, and a key for each image.

        Raises:
          ValueError: If the teacher is to see the centre of images that the host has cut.
        """
        images = batch["images"]
        _, *crops = augment.make_views(key, images, self.policies)
        whole = augment.make_view(self.view, jax.random.fold_in(key, 0), self._central(images))
        places = jax.random.fold_in(key, 1 + len(crops))
        return {
            "whole": whole,
            "crops": self._side_by_side(crops),
            "keys": augment.example_keys(places, whole.shape[0]),
        }

    def _central(self, images: Mapping[str, Array]) -> Mapping[str, Array]:
        """The central square of each image, whose side is a share of the shorter one's."""
        share = self.config.center
        if share == 1.0:
            return images
        if "image" not in images:
            raise ValueError(
                f"method.center={share} is cut from whole images: set config.data.crop='device', "
                "or method.center=1.0."
            )
        whole = images["image"]
        side = max(1, round(share * min(whole.shape[1:3])))
        return {**images, "image": augment.center_crop(whole, side)}

    def _side_by_side(self, crops: Sequence[Array]) -> list[Array]:
        """The crops of either size, those of an image side by side."""
        parts = crops[: self.config.crops], crops[self.config.crops :]
        return [jnp.stack(part, axis=1) for part in parts if part]

    def momentum(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Share of the old value in the teacher's step."""
        return target_network.rising_momentum(self.config.momentum, step, self.task.total_steps)

    def before_step(self, state: TrainState) -> TrainState:
        """Moves the teacher towards the student, before it looks for words."""
        teacher = target_network.follow(
            {"encoder": state.memory["teacher"]}, state.params["online"], self.momentum(state.step)
        )
        return state.replace(memory=state.memory | {"teacher": teacher["encoder"]})

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Divergence from the image's words, over levels and crops of a size averaged, sizes added.

        A queue takes the words of a batch once they have been looked for.
        """
        memory, views = turn.state.memory, turn.views
        outputs, teacher_variables = passes.forward(
            self.teacher, memory["teacher"], memory["teacher_variables"], views["whole"]
        )
        maps = self._maps(outputs)
        found = [word_distances(x, words) for x, words in zip(maps, memory["queues"], strict=True)]
        smallest = jnp.stack([jnp.mean(jnp.min(x, axis=-1)) for x in found])
        distances = moving_average(memory["distances"], smallest, _KEEP)
        targets = self._histograms(found, distances)
        groups, variables = passes.forward(
            self.network,
            params,
            turn.state.variables["online"],
            views["crops"],
            turn.key,
            vocabularies=memory["queues"],
        )
        total = jnp.float32(0.0)
        for group in groups:
            for logits, target in zip(group["logits"], targets, strict=True):
                shares = jnp.broadcast_to(target[:, None], logits.shape)
                words = logits.shape[-1]
                cost = losses.bag_of_words(logits.reshape(-1, words), shares.reshape(-1, words))
                total += cost / self.config.levels
        features = groups[0]["features"][:, 0]
        metrics = collapse_metrics(features) | {"momentum": self.momentum(turn.state.step)}
        for number, target in enumerate(targets, start=1):
            mean = jnp.mean(target, axis=0)
            metrics[f"words{number}_of_a_batch"] = jnp.exp(jnp.sum(entr(mean)))
            metrics[f"words{number}_of_an_image"] = jnp.exp(jnp.mean(jnp.sum(entr(target), 1)))
        new = [
            local_features(augment.fold_keys(views["keys"], level), x)
            for level, x in enumerate(maps)
        ]
        return total, Aux(
            variables,
            metrics,
            carry={"features": features, "words": new},
            memory={"teacher_variables": teacher_variables, "distances": distances},
        )

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Puts the batch's words over the oldest ones."""
        memory = state.memory
        pairs = [
            enqueue(queue, pointer, words)
            for queue, pointer, words in zip(
                memory["queues"], memory["pointers"], carried["words"], strict=True
            )
        ]
        queues, pointers = (list(part) for part in zip(*pairs, strict=True))
        return state.replace(memory=memory | {"queues": queues, "pointers": pointers})

    def _maps(self, outputs: Mapping[str, Array]) -> Maps:
        """The teacher's maps without their borders, where the images' borders are felt."""
        maps = []
        for name in self.shapes:
            x = outputs[name]
            edges = [
                slice(_BORDER, -_BORDER) if side > 2 * _BORDER else slice(None)
                for side in x.shape[1:3]
            ]
            maps.append(x[:, edges[0], edges[1]])
        return maps

    def _histograms(
        self, found: Sequence[Array], distances: Float[Array, " levels"]
    ) -> list[Float[Array, "batch words"]]:
        """The words of the images on each level, from their distances and the mean smallest."""
        tiny = float(jnp.finfo(jnp.float32).eps)
        return [
            soft_histograms(x, self.config.inverse_temperature / jnp.maximum(distances[i], tiny))
            for i, x in enumerate(found)
        ]

    def show(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> UInt8[Array, "batch columns height width channels"]:
        """The crop that is seen, the image whose words are most like those said, and its own."""
        divergences, views = self._compare(state, images, key)
        whole = views["whole"]
        likest = whole[jnp.argmin(divergences, axis=1)]
        crop = jax.image.resize(views["crops"][0][:, 0], whole.shape, "linear")
        return to_bytes(self.view, jnp.stack([crop, likest, whole], axis=1))

    def _compare(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> tuple[Float[Array, "batch batch"], PyTree]:
        """How far each prediction is from each image's words, and the views of the images."""
        memory = state.memory
        views = self.views(key, {"images": images})
        weights = {"params": memory["teacher"], **memory["teacher_variables"]}
        outputs: Any = self.teacher.apply(weights, views["whole"], False)
        maps = self._maps(outputs)
        found = [word_distances(x, words) for x, words in zip(maps, memory["queues"], strict=True)]
        targets = self._histograms(found, memory["distances"])
        student = {"params": state.params["online"], **state.variables["online"]}
        crops = [views["crops"][0][:, :1]]
        answers: Any = self.network.apply(student, crops, memory["queues"], False)
        total = jnp.zeros(())
        for logits, target in zip(answers[0]["logits"], targets, strict=True):
            total += losses.word_divergences(logits[:, 0], target)
        return total / self.config.levels, views


def last_stages(
    encoder: nn.Module, image_shape: tuple[int, int, int], count: int
) -> dict[str, tuple[int, ...]]:
    """Shapes (height, width, channels) of an encoder's last maps by name, the last one last.

    Raises:
      ValueError: If there are not so many, or none is wanted.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    outputs: Any = jax.eval_shape(
        lambda x: encoder.init_with_output(jax.random.key(0), x, False)[0], images
    )
    # By their numbers: what only has a shape is in the order of the alphabet.
    maps = [name for name, x in outputs.items() if x.ndim == 4 and name[-1].isdigit()]
    maps.sort(key=lambda name: int("".join(filter(str.isdigit, name))))
    if not 0 < count <= len(maps):
        raise ValueError(
            f"levels is {count}; the encoder has {len(maps)} stages, so that it must be from 1 to "
            f"{len(maps)}."
        )
    return {name: outputs[name].shape[1:] for name in maps[-count:]}


def to_bytes(
    view: augment.ViewPolicy, images: Float[Array, "batch columns height width channels"]
) -> UInt8[Array, "batch columns height width channels"]:
    """Pictures of views, their normalisation undone."""
    return augment.to_bytes(augment.denormalize_view(view, images))
