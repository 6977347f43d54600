"""Supervised learning: an encoder and a linear classifier learn from all labels.

It is the upper line beside what encoders learn without labels. He et al., Deep Residual Learning
for Image Recognition, 2015.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Feed, Method, Task, TrainState, Turn
from ssljax.methods.known_labels import classify

PyTree = Any


class Supervised(Method):
    """One player, "online", an encoder with a linear classifier that starts at 0."""

    roles: ClassVar = {"encoder": models.ENCODER}
    evaluated = "supervised network"
    taught: ClassVar[str] = "label"
    """The field of a record that it learns from."""

    @staticmethod
    def default_config() -> ConfigDict:
        """Views as ResNets for ImageNet are trained on: a random resized crop and a flip."""
        view = augment.ViewPolicy(224, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD)
        return ConfigDict(dict(view=ConfigDict(dataclasses.asdict(view))))

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """Images with the labels that are known."""
        return {"images": Feed(("image", cls.taught))}

    def __init__(self, config: ConfigDict, task: Task) -> None:
        self.num_classes = self.count_classes(task)
        self.view = augment.view_from_config(config.method.view)
        self.policies = [(self.view, 1)]
        self.image_shape = (self.view.size, self.view.size, task.image_shape[-1])
        self.network = self.classifier(config)
        self.players = (passes.online_player(self.loss, config, task),)

    def count_classes(self, task: Task) -> int:
        """How many logits there are; raises a ValueError where the data set has no labels."""
        if task.num_classes is None:
            raise ValueError(
                f"{type(self).__name__} needs a data set with labels: choose another data.name."
            )
        self.class_names = task.class_names
        return task.num_classes

    def classifier(self, config: ConfigDict) -> models.Classifier:
        """Builds the network."""
        return models.Classifier(
            encoder=models.encoder_from_config(config.model.encoder),
            num_classes=self.num_classes,
            dtype=config.model.encoder.dtype,
        )

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the network's parameters."""
        params, variables = passes.init(self.network, key, self.image_shape)
        return {"online": params}, {"online": variables}, ()

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes one view of every image, and adds the labels."""
        view = augment.make_view(self.view, key, batch["images"])
        return {"image": view, "label": batch["images"][self.taught]}

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Cross-entropy of the labels that are known, with batch statistics of all images."""
        outputs, variables = passes.forward(
            self.network, params, turn.state.variables["online"], turn.views["image"], turn.key
        )
        loss, metrics = self.compare(outputs["logits"], turn.views["label"])
        return loss, Aux(
            variables=variables, metrics=metrics, carry={"features": outputs["features"]}
        )

    def compare(self, logits: Array, labels: Array) -> tuple[Array, dict[str, Array]]:
        """The loss of the logits of a batch, and what is logged of them."""
        return classify(logits, labels)

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the network on the whole images; "logits" are the classes' scores."""
        return passes.features(
            self.network, state.params["online"], state.variables["online"], self.view, images
        )
