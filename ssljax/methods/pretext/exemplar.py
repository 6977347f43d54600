"""Exemplars: which image does a distorted patch come from?

Dosovitskiy, Springenberg, Riedmiller and Brox, Discriminative Unsupervised Feature Learning with
Convolutional Neural Networks, 2014. As triplets: Kolesnikov, Zhai and Beyer, Revisiting
Self-Supervised Visual Representation Learning, 2019.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses
from ssljax.augment.exemplar import ExemplarPolicy, exemplar_patches, sample_anchors
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question, encode_each
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import inner_products

_FORMS = ("classes", "triplet")


class ExemplarHead(nn.Module):
    """A linear layer on the features.

    Attributes:
      outputs: The classes, or the embedding's dimensions.
      dtype: Type of the arithmetic.
    """

    outputs: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, encode: Encode, inputs: Float[Array, "batch views size size channels"], train: bool
    ) -> Outputs:
        """Embeds every view, or guesses whose it is.

        Args:
          encode: The encoder.
          inputs: Views of each image.
          train: Unread; there is nothing that differs.

        Returns:
          "logits" (batch, views, outputs); "features" (batch, dim) of the first view.
        """
        features = encode_each(encode, inputs)["features"]
        logits = nn.Dense(self.outputs, dtype=self.dtype, name="classifier")(features)
        return {"logits": logits.astype(jnp.float32), "features": features[:, 0]}


class ExemplarTask(PretextTask):
    """Patches of one image belong together, in one of two forms.

    In the form "classes" every image of the training set is a seed, and a class of its own: its
    place in the set. Choose the seeds by `config.data.split`: only they can be asked about. The
    patches of a seed lie about one place of it, drawn once, where the gradient is large.

    In the form "triplet" the views are crops as `config.method.view` makes them, and a view is to
    be nearer to those of its own image than to all others of the batch. Its own score is the share
    of the batch's other images whose first view is further from the image's first than its second.
    """

    fields = ("image", "index")

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        self.config = config
        self.view = augment.view_from_config(config.view)
        if config.form not in _FORMS:
            raise ValueError(f"form is {config.form!r}; it must be one of {', '.join(_FORMS)}.")
        self.classes = self.seen_only = config.form == "classes"
        least = 1 if self.classes else 2
        if config.crops < least:
            raise ValueError(f"crops is {config.crops}; the form {config.form!r} needs {least}.")
        if self.classes:
            self.seeds = task.num_images
            self.head = ExemplarHead(self.seeds, dtype)
            self.chance = {"exemplar_accuracy": 1 / self.seeds}
            options: dict[str, Any] = {
                name: tuple(x) if isinstance(x, list) else x for name, x in config.patch.items()
            }
            self.patch = ExemplarPolicy(self.view.size, **options)
        else:
            self.head = ExemplarHead(config.embedding_dim, dtype)
            self.chance = {"triplet_accuracy": 0.5}
            self.policies = [(self.view, config.crops)]

    @staticmethod
    def default_config() -> ConfigDict:
        """The values of classes on STL-10; the margin is that of triplets on ImageNet."""
        patch = dataclasses.asdict(ExemplarPolicy(32))
        del patch["size"]
        return ConfigDict(
            dict(
                form="classes",
                crops=1,  # Of each image of a batch; as triplets 8.
                margin=0.5,
                embedding_dim=1000,  # Of triplets.
                patch=ConfigDict(patch),  # Of classes.
                # Of classes, the size and the normalisation alone.
                view=ConfigDict(dataclasses.asdict(augment.ViewPolicy(32))),
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Makes the views of each image; the targets are the images' places in the set."""
        views = self._patches(key, images) if self.classes else self._crops(key, images)
        return Question(jnp.stack(views, axis=1), images["index"])

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Cross-entropy of the views with their image's class, or the triplet loss."""
        if not self.classes:
            return losses.semi_hard_triplet(outputs["logits"], self.config.margin), {}
        counts = (targets >= 0)[:, None].astype(jnp.float32)
        labels = jnp.clip(targets[:, None], 0, self.seeds - 1)
        labels = jnp.broadcast_to(labels, outputs["logits"].shape[:2])
        costs = optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], labels)
        views = outputs["logits"].shape[1]
        return jnp.sum(costs * counts) / jnp.maximum(views * jnp.sum(counts), 1.0), {}

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """The share of the views, or of the triplets, that are told."""
        if self.classes:
            right = jnp.argmax(outputs["logits"], axis=-1) == targets[:, None]
            return {"exemplar_accuracy": jnp.mean(right.astype(jnp.float32), axis=1)}
        z = l2_normalize(outputs["logits"])
        others = inner_products(z[:, 0], z[:, 0])
        own = jnp.sum(z[:, 0] * z[:, 1], axis=-1, keepdims=True)
        # A row of index -1 fills a batch up: it is no image.
        compared = (targets >= 0)[None] & ~jnp.eye(z.shape[0], dtype=bool)
        further = jnp.sum(((others < own) & compared).astype(jnp.float32), axis=1)
        count = jnp.sum(compared.astype(jnp.float32), axis=1)
        return {"triplet_accuracy": further / jnp.maximum(count, 1.0)}

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The views of each image, and a green or a red square: whether the first is told.

        As triplets, green means that the second view is nearer to it than all other images.
        """
        seen = self.to_pixels(question.inputs)
        if self.classes:
            right = jnp.argmax(outputs["logits"][:, 0], axis=-1) == question.targets
        else:
            right = self.scores(outputs, question.targets)["triplet_accuracy"] == 1.0
        colors = jnp.where(right[:, None], jnp.array([[0.0, 1.0, 0.0]]), jnp.array([[1.0, 0, 0]]))
        if seen.shape[-1] == 1:
            colors = right[:, None].astype(jnp.float32)
        mark = jnp.broadcast_to(colors[:, None, None, None, :], seen[:, :1].shape)
        return jnp.concatenate([seen, mark], axis=1)

    def _patches(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> list[Array]:
        pixels = augment.to_float(images["image"])
        # Of the seed alone, not of the step: all its patches have one anchor.
        own = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), images["index"])
        anchors = sample_anchors(own, pixels)
        keys = augment.example_keys(key, pixels.shape[0])
        views = []
        for number in range(self.config.crops):
            view = exemplar_patches(self.patch, augment.fold_keys(keys, number), pixels, anchors)
            views.append(augment.normalize_view(self.view, view))
        return views

    def _crops(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> list[Array]:
        return list(augment.make_views(key, images, [(self.view, self.config.crops)]))


class Exemplar(PretextMethod):
    """Exemplars, as classes or as triplets."""

    task_type = ExemplarTask
