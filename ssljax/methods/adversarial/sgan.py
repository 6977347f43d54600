"""SGAN: the discriminator is a classifier, and learns from few labels and from generated images.

Salimans et al., Improved Techniques for Training GANs, 2016, section 5.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.methods.adversarial.game import Adversarial
from ssljax.methods.contract import Aux, Batch, Feed, Task, TrainState, Turn
from ssljax.methods.known_labels import mean_known
from ssljax.metrics import generator_collapsed

PyTree = Any


class SGAN(Adversarial):
    """K logits, whose log-sum-exp tells real from generated images.

    `data.labels` says how many labels are known. Each batch of all images comes with one of
    labelled images. The average of the discriminator's weights is evaluated.
    """

    roles: ClassVar = {
        "generator": models.GENERATOR,
        "discriminator": models.DISCRIMINATOR.with_options(
            norm="none", dropout=0.5, input_dropout=0.2
        ),
    }
    evaluated = "averaged discriminator"

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values, with the dropout of its CIFAR-10 discriminator."""
        config = Adversarial.default_config()
        config.update(latent_dim=100, prior="uniform")
        config.feature_matching = True  # The generator's loss; False: the plain one.
        config.discriminator_ema_decay = 0.9999
        # The same network on the same labels, without a game: for comparison.
        config.supervised_only = False
        return config

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """All images and, beside each batch, one as large of those that have a label."""
        return {
            "images": Feed(unlabelled="seen"),
            "labelled": Feed(("image", "label"), unlabelled="left_out"),
        }

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        if task.num_classes is None:
            raise ValueError("method.name='sgan' needs a data set with labels.")
        super().__init__(config, task, "minimax", out_dim=task.num_classes)
        self.class_names = task.class_names
        self.feature_matching = method.feature_matching
        self.averages["discriminator"] = method.discriminator_ema_decay
        self.supervised_only = method.supervised_only
        if self.supervised_only:
            discriminator, generator = self.players
            resting = dataclasses.replace(generator, loss=_nothing, active=lambda step: step < 0)
            self.players = (discriminator, resting)

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Scales the real images to [-1, 1]; labels are read for the labelled ones only."""
        return {
            "image": augment.to_tanh_range(batch["images"]["image"]),
            "labelled": augment.to_tanh_range(batch["labelled"]["image"]),
            "label": batch["labelled"]["label"],
        }

    def discriminator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Names the classes of labelled images, and tells all real from generated ones."""
        own, labels = turn.state.variables["discriminator"], turn.views["label"]
        fake_key, *drop_keys = jax.random.split(turn.key, 4)
        named, variables = self.discriminate(
            params, own, turn.views["labelled"], update_spectral=True, dropout=drop_keys[0]
        )
        loss = losses.sgan_supervised(named["class_logits"], labels)
        hits = jnp.argmax(named["class_logits"], axis=1).astype(labels.dtype) == labels
        accuracy = mean_known(hits.astype(jnp.float32), labels)
        metrics = {"supervised_loss": loss, "accuracy_labelled": accuracy}
        if self.supervised_only:
            return loss, Aux(variables=variables, metrics=metrics)
        frozen = self.networks.weights(turn.state, "generator")
        fake, _, _ = self.sample_fakes(*frozen, turn.views, fake_key)
        updated = own | variables
        real_outputs, changed = self.discriminate(
            params, updated, turn.views["image"], dropout=drop_keys[1]
        )
        fake_outputs, _ = self.discriminate(params, updated, fake, dropout=drop_keys[2])
        loss += losses.sgan_unsupervised(real_outputs["class_logits"], fake_outputs["class_logits"])
        return loss, Aux(
            variables=variables | changed,
            metrics=metrics
            | self.scores(real_outputs["logits"], fake_outputs["logits"])
            | {"collapsed": generator_collapsed(fake, turn.views["image"])},
            carry={"features": real_outputs["features"]},
        )

    def generator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Makes images with the mean features of real ones, or images that are taken for real."""
        own = turn.state.variables["generator"]
        fake_key, *drop_keys = jax.random.split(turn.key, 3)
        fake, _, variables = self.sample_fakes(
            params, own, turn.views, fake_key, self.generator_batch, update_spectral=True
        )
        frozen = self.networks.weights(turn.state, "discriminator")
        fake_outputs, _ = self.discriminate(*frozen, fake, dropout=drop_keys[0])
        if self.feature_matching:
            real_outputs, _ = self.discriminate(*frozen, turn.views["image"], dropout=drop_keys[1])
            loss = losses.feature_matching(real_outputs["features"], fake_outputs["features"])
        else:
            loss = losses.sgan_generator(fake_outputs["class_logits"])
        return loss, Aux(variables=variables)

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """The averaged discriminator's activations; "logits" are the classes' scores."""
        class_logits = self.all_outputs(state, images)["class_logits"]
        return super().features(state, images) | {"logits": class_logits}

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """The averaged discriminator."""
        average = dict(state.memory["discriminator"])
        return average.pop("params"), average


def _nothing(params: PyTree, turn: Turn) -> tuple[Array, Aux]:
    """The loss of a player that never moves."""
    return jnp.float32(0.0), Aux()
