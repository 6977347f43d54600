"""Fine-tuning on images of several classes each, such as Pascal VOC's.

Krähenbühl et al., Data-dependent Initializations of Convolutional Neural Networks, 2016, section 4
(the classification of VOC 2007); `eval_voc_classif.py` of facebookresearch/deepcluster.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from ssljax import augment, losses
from ssljax.augment import presets
from ssljax.methods.contract import Task, TrainState
from ssljax.methods.transfer.finetune import Finetune

LOGITS = "label_logits"
"""What the scores of the classes are called among its features: they exclude none another."""


class MultiLabel(Finetune):
    """Fine-tuning whose logits each say by themselves whether an image has a class.

    The classes are those of `config.data.multi_label_key`. One that is not known of an image, such
    as of an object that is difficult to see (`config.data.doubtful_key`), teaches nothing.
    """

    taught = "multi_label"

    @staticmethod
    def default_config() -> ConfigDict:
        """The benchmark's view, as far as the house has it: a crop, a flip and ImageNet's mean.

        The benchmark scales an image by 0.5 to 2 and cuts 227 pixels out of it; here a crop has
        1/16 to all of the image's area, as if that were 454 pixels wide at most.
        """
        config = Finetune.default_config()
        view = augment.ViewPolicy(
            227, crop_scale=(1 / 16, 1.0), mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD
        )
        config.update(from_layer=0, view=ConfigDict(dataclasses.asdict(view)))
        return config

    def count_classes(self, task: Task) -> int:
        """How many classes an image may have; raises a ValueError where there are no such."""
        if not task.label_names:
            raise ValueError(
                "MultiLabel needs a data set whose images have several classes each: name that "
                "feature in data.multi_label_key."
            )
        self.label_names = task.label_names
        return len(task.label_names)

    def compare(
        self, logits: Float[Array, "batch classes"], labels: Int[Array, "batch classes"]
    ) -> tuple[Array, dict[str, Array]]:
        """The sum of the classes' cross-entropies, and how often the sign of a logit is right."""
        known = (labels >= 0).astype(jnp.float32)
        right = ((logits > 0) == (labels == 1)).astype(jnp.float32) * known
        return losses.multi_label_cross_entropy(logits, labels), {
            "accuracy": jnp.sum(right) / jnp.maximum(jnp.sum(known), 1.0),
            "labelled": jnp.mean(known),
        }

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the network on the whole images; the scores are "label_logits"."""
        outputs: dict[str, Any] = dict(super().features(state, images))
        return outputs | {LOGITS: outputs.pop("logits")}
