"""Fine-tuning: a pretrained encoder and the first layer of its head learn classes from few labels.

Chen et al., Big Self-Supervised Models are Strong Semi-Supervised Learners (SimCLR v2), 2020,
section 2; `run.py` of google-research/simclr with `train_mode=finetune`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import traverse_util
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Feed, Method, Task, TrainState, Turn
from ssljax.methods.known_labels import classify

PyTree = Any


class Finetune(Method):
    """One player, encoder with part of the head and a linear classifier; all of it learns.

    It starts from the run in `config.init.workdir`, or untrained where that is empty: the
    supervised network that a fine-tuned one is compared with.
    """

    roles: ClassVar = {"encoder": models.ENCODER}
    evaluated = "fine-tuned network"

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for 1 % and 10 % of ImageNet's labels."""
        return ConfigDict(
            dict(
                # The classifier reads this layer of the projection head; 0: the features. The paper
                # takes 0 where all labels are known.
                from_layer=1,
                head_dim=0,  # Width of the head's hidden layers; 0: that of the features.
                # Pretraining's normalisation, with a crop and a flip alone.
                view=ConfigDict(
                    dataclasses.asdict(augment.ViewPolicy(224, interpolation="bicubic"))
                ),
            )
        )

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """Images with the labels that are known."""
        return {"images": Feed(("image", "label"))}

    def __init__(self, config: ConfigDict, task: Task) -> None:
        if task.num_classes is None:
            raise ValueError("Fine-tuning needs a data set with labels: choose another data.name.")
        self.num_classes, self.class_names = task.num_classes, task.class_names
        self.view = augment.view_from_config(config.method.view)
        self.policies = [(self.view, 1)]
        self.image_shape = (self.view.size, self.view.size, task.image_shape[-1])
        self.network = models.Classifier(
            encoder=models.encoder_from_config(config.model.encoder),
            num_classes=self.num_classes,
            head_layers=config.method.from_layer,
            head_dim=config.method.head_dim or None,
            dtype=config.model.encoder.dtype,
        )
        self.players = (passes.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes encoder, head and classifier."""
        params, variables = passes.init(self.network, key, self.image_shape)
        return {"online": params}, {"online": variables}, ()

    def start_from(self, state: TrainState, source: Method, source_state: TrainState) -> TrainState:
        """Takes encoder and head from any run that has them; the classifier stays untrained."""
        params, variables = source.trained_weights(source_state)
        own = state.params["online"]
        taken = _take(own, params) | {"classifier": own["classifier"]}
        collections = {
            name: _take(part, variables.get(name, {}))
            for name, part in state.variables["online"].items()
        }
        return state.replace(
            params=state.params | {"online": taken},
            variables=state.variables | {"online": collections},
        )

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes one view of every image, and adds the labels."""
        view = augment.make_view(self.view, key, batch["images"])
        return {"image": view, "label": batch["images"]["label"]}

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Cross-entropy of the labels that are known, with batch statistics of all images."""
        outputs, variables = passes.forward(
            self.network, params, turn.state.variables["online"], turn.views["image"], turn.key
        )
        loss, metrics = classify(outputs["logits"], turn.views["label"])
        return loss, Aux(
            variables=variables, metrics=metrics, carry={"features": outputs["features"]}
        )

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the network on the whole images; "logits" are the classes' scores."""
        return passes.features(
            self.network, state.params["online"], state.variables["online"], self.view, images
        )


def _take(own: PyTree, source: PyTree) -> PyTree:
    """The source's encoder, and as many layers of its head as are wanted.

    Raises:
      ValueError: If the encoders differ, or a layer of the head is missing or of another shape.
    """
    parts = own.keys() - {"classifier"}
    wanted = _shapes({name: own[name] for name in parts})
    given = _shapes({name: source[name] for name in parts if name in source})
    for path in sorted(wanted.keys() | given.keys()):
        unread = path not in wanted and path.startswith("projector/")
        if wanted.get(path) != given.get(path) and not unread:
            raise ValueError(
                f"{path} is {given.get(path, 'absent')} there and {wanted.get(path, 'absent')} "
                "here; use that run's config.model.encoder, and for its projection head "
                "config.method.from_layer and head_dim."
            )
    flat = traverse_util.flatten_dict(dict(source), sep="/")
    return traverse_util.unflatten_dict({path: flat[path] for path in wanted}, sep="/")


def _shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
    flat = traverse_util.flatten_dict(tree, sep="/")
    return {path: jnp.shape(leaf) for path, leaf in flat.items()}
