"""Object detection: an encoder, a feature pyramid and a head learn boxes and their classes.

Tian et al., FCOS: Fully Convolutional One-Stage Object Detection (arXiv:1904.01355), 2019. It needs
no anchors: every place of the pyramid's maps answers for the box in whose middle it lies.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float32, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models, optimizers
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Feed, Method, Task, TrainState, Turn
from ssljax.methods.protocols import GivesOwnInputs
from ssljax.methods.transfer import weights
from ssljax.ops import box_targets, boxes

PyTree = Any


class Detect(Method):
    """One player, "online": an encoder, frozen or learning, with a pyramid and a head of its own.

    The encoder starts as that of the run in `config.init.workdir`, or untrained where that is
    empty. The classes are `config.data.box_classes`. Metrics are the three losses, "positives", the
    places of an image that answer for a box, and "iou", of their boxes with the true ones.
    """

    roles: ClassVar = {
        "encoder": models.ENCODER.with_options(name="resnet50", stem="imagenet"),
        "pyramid": models.PYRAMID,
        "head": models.DETECTION_HEAD,
    }
    evaluated = "detector"

    @staticmethod
    def default_config() -> ConfigDict:
        """FCOS's values for COCO, as `fcos_imprv_R_50_FPN_1x` of tianzhi0549/FCOS has them.

        There the stem and the first stage of the encoder stay as they are; here all of it learns.
        """
        view = augment.ViewPolicy(
            800, crop_scale=None, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD
        )
        return ConfigDict(
            dict(
                train_encoder=True,  # Whether the encoder learns, or pyramid and head alone.
                train_norms=False,  # Whether its norms do, and use batch statistics.
                bias_rate=2.0,  # Learning rate of the new layers' biases, a factor of the others'.
                # Distances in pixels of a box's farthest side, by which boxes are shared out among
                # the levels: one between each two.
                ranges=(64.0, 128.0, 256.0, 512.0),
                radius=1.5,  # Of a box's middle, in strides; 0 for the whole box.
                alpha=0.25,  # Of the focal loss.
                gamma=2.0,
                # Factors by which a training image is scaled before a window is cut out of it;
                # empty: the view's own crop.
                sizes=(),
                score_threshold=0.05,  # Classes of less probability are not looked at.
                candidates=1000,  # Boxes an image before those that overlap are left out.
                nms_threshold=0.6,  # Greatest IoU of two boxes of one class.
                max_detections=100,  # Boxes an image.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """Images with their boxes."""
        return {"images": Feed(("image", "boxes"))}

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method, self.classes = config.method, config.data.box_classes
        _check(config, task)
        self.train_encoder, self.train_norms = method.train_encoder, method.train_norms
        self.bias_rate, self.sizes = method.bias_rate, tuple(method.sizes)
        self.radius, self.focus = method.radius, (method.alpha, method.gamma)
        self.score_threshold, self.nms_threshold = method.score_threshold, method.nms_threshold
        self.candidates, self.max_detections = method.candidates, method.max_detections
        self.view = augment.view_from_config(method.view)
        self.image_shape = (self.view.size, self.view.size, task.image_shape[-1])
        norm = functools.partial(models.BatchNorm, frozen=not self.train_norms)
        self.network = models.DetectionNet(
            models.encoder_from_config(config.model.encoder, norm=norm),
            self.roles["pyramid"].from_config(config.model.pyramid),
            self.roles["head"].from_config(config.model.head, num_classes=self.classes),
            self.train_encoder,
        )
        self.bounds = _bounds(method.ranges, config.model.pyramid.levels)
        player = passes.online_player(self.loss, config, task)
        tx = optax.chain(player.tx, optimizers.scale_by_name(self._rate))
        self.players = (dataclasses.replace(player, tx=tx),)

    def _rate(self, name: str) -> float:
        """The rate of a parameter, as a factor of the optimizer's; 0 of what is frozen."""
        if name.startswith("encoder/"):
            return float(self.train_encoder and (self.train_norms or "norm" not in name))
        return self.bias_rate if name.endswith("/bias") else 1.0

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the network's parameters."""
        params, variables = passes.init(self.network, key, self.image_shape)
        return {"online": params}, {"online": variables}, ()

    def start_from(self, state: TrainState, source: Method, source_state: TrainState) -> TrainState:
        """Takes the encoder of any run; pyramid and head stay untrained."""
        return weights.start_from(
            state,
            source,
            source_state,
            advice="use that run's config.model.encoder",
            fresh=("pyramid", "head"),
        )

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Crops and mirrors each image, and its boxes with it."""
        images, found = batch["images"]["image"], batch["images"]["boxes"]
        sides = images.shape[1], images.shape[2]
        if self.sizes:
            return {
                "image": augment.scaled_view(self.view, self.sizes, key, images),
                "boxes": augment.scaled_boxes(self.view, self.sizes, key, found, *sides),
            }
        return {
            "image": augment.augment_view(self.view, key, images),
            "boxes": augment.view_boxes(self.view, key, found, *sides),
        }

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Focal loss of the classes, GIoU loss of the boxes, cross-entropy of the center-ness."""
        outputs, variables = passes.forward(
            self.network, params, turn.state.variables["online"], turn.views["image"], turn.key
        )
        told = models.told_by(outputs, self.view.size)
        mine, known, classes = self._targets(told, turn.views["boxes"])
        places = jnp.broadcast_to(jnp.asarray(told.places)[None], (*known.shape, 2))
        truth = box_targets.box_distances(places, mine)
        central = jnp.where(known, box_targets.center_ness(truth), 0.0)
        said = box_targets.boxes_at(places, told.distances)
        terms = {
            "class_loss": losses.focal_loss(told.classes, classes, *self.focus),
            "box_loss": losses.giou_loss(said, mine, central),
            "center_ness_loss": losses.center_ness_loss(told.center_ness, central, known),
        }
        overlaps = jnp.where(known, boxes.paired_iou(said, mine), 0.0)
        count = jnp.sum(known.astype(jnp.float32))
        gauges = {
            "positives": count / known.shape[0],
            "iou": jnp.sum(overlaps) / jnp.maximum(count, 1.0),
        }
        return sum(terms.values(), start=jnp.zeros(())), Aux(
            variables=variables,
            metrics=terms | gauges,
            carry={"features": outputs["features"]},
        )

    def _targets(
        self, told: models.Told, found: Float[Array, "batch count 5"]
    ) -> tuple[Array, Array, Array]:
        """The box of each place, whether it has one, and its class or -1."""
        places, strides = jnp.asarray(told.places), jnp.asarray(told.strides)
        bounds = jnp.asarray(self.bounds[told.levels])

        def assign(rows: Float[Array, "count 5"]) -> Array:
            things = rows[:, :4], rows[:, 4]
            return box_targets.assign_boxes(places, strides, bounds, *things, self.radius)

        chosen = jax.vmap(assign)(found)
        rows = jnp.take_along_axis(found, jnp.maximum(chosen, 0)[..., None], axis=1)
        known = chosen >= 0
        return rows[..., :4], known, jnp.where(known, rows[..., 4], -1.0).astype(jnp.int32)

    def detect(
        self, state: TrainState, images: Array
    ) -> Float[Array, "batch {self.max_detections} 6"]:
        """The objects in whole images; see `protocols.Detector`.

        A score is the root of the class's probability times the center-ness. The best candidates
        are of all levels together, where the authors take as many of each.
        """
        side = images.shape[1]
        whole = augment.normalize_view(self.view, augment.to_float(images))
        outputs: Any = self.network.apply(
            {"params": state.params["online"], **state.variables["online"]}, whole, False
        )
        told = models.told_by(outputs, side)
        found = box_targets.boxes_at(
            jnp.broadcast_to(jnp.asarray(told.places)[None], (*told.center_ness.shape, 2)),
            told.distances,
        )
        likely = jax.nn.sigmoid(told.classes)
        central = jax.nn.sigmoid(told.center_ness)[..., None]
        scores = jnp.where(likely > self.score_threshold, jnp.sqrt(likely * central), 0.0)
        return jax.vmap(self._best)(jnp.clip(found, 0.0, float(side)), scores)

    def _best(
        self, found: Float[Array, "places 4"], scores: Float[Array, "places classes"]
    ) -> Float[Array, "{self.max_detections} 6"]:
        """Of one image the boxes that stay."""
        flat = scores.reshape(-1)
        best, order = jax.lax.top_k(flat, min(self.candidates, flat.shape[0]))
        rows, classes = found[order // self.classes], order % self.classes
        kept = boxes.non_maximum_suppression(
            rows, best, classes, self.max_detections, self.nms_threshold
        )
        told = jnp.concatenate([rows, classes.astype(jnp.float32)[:, None], best[:, None]], axis=1)[
            kept
        ]
        return jnp.where((kept >= 0)[:, None], told, -1.0)

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the network on the whole images, resized to the view's size."""
        return passes.features(
            self.network, state.params["online"], state.variables["online"], self.view, images
        )


def _bounds(ranges: tuple[float, ...], levels: int) -> Float32[np.ndarray, "levels 2"]:
    """Least and greatest distance of a farthest side, for each level."""
    if len(ranges) != levels - 1 or list(ranges) != sorted(set(ranges)):
        raise ValueError(
            f"method.ranges is {tuple(ranges)} and the pyramid has {levels} maps: give "
            f"{levels - 1} distances in pixels, each larger than the one before."
        )
    edges = np.array([-1.0, *ranges, np.inf], np.float32)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _check(config: ConfigDict, task: Task) -> None:
    """Raises a ValueError if boxes, or the run that is started from, do not suit the method."""
    if config.data.box_classes < 1:
        raise ValueError(
            f"data.box_classes is {config.data.box_classes}: say how many classes the boxes have."
        )
    seen, view = task.image_shape[0], config.method.view
    if not config.method.sizes and view.crop_scale is None and view.size != seen:
        raise ValueError(
            f"method.view.size is {view.size} and data.image_size is {seen}: whole images are "
            "detected in at the second and would be learnt at the first, so set both to one size, "
            "or cut windows with method.sizes or method.view.crop_scale."
        )
    if isinstance(task.source, GivesOwnInputs):
        raise ValueError(
            f"The encoder of a run of {type(task.source).__name__} is not given whole images, so it"
            " has no maps of them to find things in: start from another run, or leave init.workdir "
            "empty."
        )
