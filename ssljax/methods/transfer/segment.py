"""Semantic segmentation: an encoder and a head learn the class of every pixel from masks.

Chen et al., DeepLab (arXiv:1606.00915), 2017, and Yu and Koltun, Multi-Scale Context Aggregation by
Dilated Convolutions (arXiv:1511.07122), 2016, by the head and the encoder that the config names.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, metrics, models, optimizers
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Feed, Method, Task, TrainState, Turn
from ssljax.methods.known_labels import classify
from ssljax.methods.protocols import GivesOwnInputs
from ssljax.methods.transfer import weights
from ssljax.ops.resampling import nearest

PyTree = Any

_MOST_CLASSES = 255
"""Of masks that are bytes, one of which may be the void."""


class Segment(Method):
    """One player, "online": an encoder, frozen or learning, and a head on one of its maps.

    The encoder starts as that of the run in `config.init.workdir`, or with the weights of the file
    in `config.pretrained.weights`, or untrained where both are empty. The classes are
    `config.data.mask_classes`, and pixels of `config.data.void` teach nothing. Metrics are of the
    batch's views: "pixel_accuracy", "class_accuracy" and "miou".
    """

    roles: ClassVar = {
        "encoder": models.ENCODER.with_options(
            name="resnet101",
            stem="imagenet",
            output_stride=8,  # Of ResNets, VGGs and the small network.
        ),
        "head": models.SEGMENTATION_HEAD,
    }
    evaluated = "segmentation network"

    @staticmethod
    def default_config() -> ConfigDict:
        """DeepLab v2's values for Pascal VOC, as kazuto1011/deeplab-pytorch has them."""
        view = augment.ViewPolicy(
            321, crop_scale=None, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD
        )
        return ConfigDict(
            dict(
                train_encoder=True,  # Whether the encoder learns, or the head alone.
                train_norms=False,  # Whether its norms do, and use batch statistics.
                stage="",  # Which of its maps the head reads; empty: the last.
                scales=(1.0, 0.75, 0.5),  # Sizes at which the network sees an image.
                # Where scores meet the masks: at the "places" of the scores' own map, to which
                # masks are shrunk, or at the "pixels", to which scores are enlarged.
                loss_at="places",
                head_rate=10.0,  # Learning rates of the head's kernels and biases, as factors of
                head_bias_rate=20.0,  # the optimizer's.
                # Factors by which a training image is scaled before a window is cut out of it;
                # empty: the view's own crop.
                sizes=(0.5, 0.75, 1.0, 1.25, 1.5),
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """Images with their masks."""
        return {"images": Feed(("image", "mask"))}

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method, self.classes = config.method, config.data.mask_classes
        _check(config, task)
        self.train_encoder, self.train_norms = method.train_encoder, method.train_norms
        self.sizes, self.loss_at = tuple(method.sizes), method.loss_at
        self.rates = method.head_rate, method.head_bias_rate
        self.view = augment.view_from_config(method.view)
        side = self.view.size
        self.image_shape = (side, side, task.image_shape[-1])
        norm = functools.partial(models.BatchNorm, frozen=not self.train_norms)
        encoder = models.encoder_from_config(config.model.encoder, norm=norm)
        head = self.roles["head"].from_config(config.model.head, num_classes=self.classes)
        self.network = models.SegmentationNet(
            encoder, head, method.stage, tuple(method.scales), self.train_encoder
        )
        player = passes.online_player(self.loss, config, task)
        tx = optax.chain(player.tx, optimizers.scale_by_name(self._rate))
        self.players = (dataclasses.replace(player, tx=tx),)

    def _rate(self, name: str) -> float:
        """The rate of a parameter, as a factor of the optimizer's; 0 of what is frozen."""
        if name.startswith("head/"):
            return self.rates[name.endswith("/bias")]
        return float(self.train_encoder and (self.train_norms or "norm" not in name))

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the network's parameters."""
        params, variables = passes.init(self.network, key, self.image_shape)
        return {"online": params}, {"online": variables}, ()

    def start_from(self, state: TrainState, source: Method, source_state: TrainState) -> TrainState:
        """Takes the encoder of any run; the head stays untrained."""
        return weights.start_from(
            state,
            source,
            source_state,
            advice="config.model.encoder must be of the same form",
            fresh=("head",),
        )

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Scales, cuts and mirrors each image, and its mask with it."""
        images, masks = batch["images"]["image"], batch["images"]["mask"]
        if self.sizes:
            return {
                "image": augment.scaled_view(self.view, self.sizes, key, images),
                "mask": augment.scaled_masks(self.view, self.sizes, key, masks),
            }
        return {
            "image": augment.augment_view(self.view, key, images),
            "mask": augment.view_masks(self.view, key, masks),
        }

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Cross-entropy of the known pixels: of each scale, and of the largest scores of all."""
        outputs, variables = passes.forward(
            self.network, params, turn.state.variables["online"], turn.views["image"], turn.key
        )
        masks, total = turn.views["mask"], jnp.zeros(())
        for name in sorted(name for name in outputs if name.startswith(models.PIXELS)):
            scores, truth = self._met(outputs[name], masks)
            loss, known = classify(scores.reshape(-1, self.classes), truth.reshape(-1))
            total = total + loss
            if name == models.PIXELS:
                found = jnp.argmax(scores, axis=3).astype(truth.dtype)
                counts = metrics.confusion_matrix(truth, found, self.classes)
        return total, Aux(
            variables=variables,
            metrics=metrics.segmentation_scores(counts) | {"labelled": known["labelled"]},
            carry={"features": outputs["features"]},
        )

    def _met(
        self, scores: Float[Array, "batch rows columns classes"], masks: Array
    ) -> tuple[Array, Array]:
        """Scores and masks at one size."""
        if self.loss_at == "places":
            return scores, nearest(masks, *scores.shape[1:3])
        return models.resized(scores, *masks.shape[1:3]), masks

    def segment(
        self, state: TrainState, images: Array
    ) -> Float[Array, "batch height width classes"]:
        """Scores of the classes of every pixel of whole images, as logits."""
        whole = augment.normalize_view(self.view, augment.to_float(images))
        outputs: Any = self.network.apply(
            {"params": state.params["online"], **state.variables["online"]}, whole, False
        )
        return models.resized(outputs[models.PIXELS], *images.shape[1:3])

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the network on the whole images, resized to the view's size."""
        return passes.features(
            self.network, state.params["online"], state.variables["online"], self.view, images
        )


def _check(config: ConfigDict, task: Task) -> None:
    """Raises a ValueError if masks, or the run that is started from, do not suit the method."""
    classes, void = config.data.mask_classes, config.data.void
    if not 1 <= classes <= _MOST_CLASSES:
        raise ValueError(
            f"data.mask_classes is {classes}: say how many classes the masks have, from 1 to "
            f"{_MOST_CLASSES}."
        )
    if not 0 <= void <= _MOST_CLASSES:
        raise ValueError(
            f"data.void is {void}: it must be the byte that stands for no class, from 0 to "
            f"{_MOST_CLASSES}."
        )
    if config.method.loss_at not in ("places", "pixels"):
        raise ValueError(
            f"method.loss_at is {config.method.loss_at!r}: it must be 'places' or 'pixels'."
        )
    if isinstance(task.source, GivesOwnInputs):
        raise ValueError(
            f"The encoder of a run of {type(task.source).__name__} is not given whole images, so it"
            " has no map of them to segment: start from another run, or leave init.workdir empty."
        )
