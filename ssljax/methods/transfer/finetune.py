"""Fine-tuning: a pretrained encoder and the first layer of its head learn classes from few labels.

Chen et al., Big Self-Supervised Models are Strong Semi-Supervised Learners (SimCLR v2), 2020,
section 2; `run.py` of google-research/simclr with `train_mode=finetune`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models, optimizers
from ssljax.methods import passes
from ssljax.methods.contract import Batch, Method, Task, TrainState
from ssljax.methods.protocols import GivesOwnInputs
from ssljax.methods.transfer import weights
from ssljax.methods.transfer.supervised import Supervised

PyTree = Any

_ADVICE = (
    "use that run's config.model.encoder, and for its projection head config.method.from_layer and "
    "head_dim"
)


class Finetune(Supervised):
    """One player, encoder with part of the head and a linear classifier; all of it learns.

    With `train_encoder` off the encoder stays as it is, the scales and the statistics of its norms
    included, and gives what it gives when it is evaluated; the head's layers and the classifier
    learn.

    It starts from the run in `config.init.workdir`, or untrained where that is empty: the
    supervised network that a fine-tuned one is compared with. Where `from_scratch` is set, the
    network has the form and the inputs of that run's, and none of its weights.

    An encoder that a pretext task gives something else than images, such as one channel of them or
    their tiles, is given the same of each view. How a view is normalised is then up to the task.
    """

    evaluated = "fine-tuned network"

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for 1 % and 10 % of ImageNet's labels."""
        return ConfigDict(
            dict(
                # The classifier reads this layer of the projection head; 0: the features. The paper
                # takes 0 where all labels are known.
                from_layer=1,
                from_scratch=False,  # Whether the run gives the network's form alone.
                train_encoder=True,  # Or the head and the classifier alone.
                head_dim=0,  # Width of the head's hidden layers; 0: that of the features.
                # Pretraining's normalisation, with a crop and a flip alone.
                view=ConfigDict(
                    dataclasses.asdict(augment.ViewPolicy(224, interpolation="bicubic"))
                ),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        self.from_scratch = config.method.from_scratch
        self.train_encoder = config.method.train_encoder
        self.own_inputs = task.source if isinstance(task.source, GivesOwnInputs) else None
        super().__init__(config, task)
        if not self.train_encoder:
            (player,) = self.players
            # Without a gradient there would still be weight decay.
            tx = optax.chain(player.tx, optimizers.scale_by_name(_all_but_encoder))
            self.players = (dataclasses.replace(player, tx=tx),)

    def classifier(self, config: ConfigDict) -> models.Classifier:
        """Builds the network, with what the source's encoder is given of an image."""
        build, encode = models.encoder_from_config, None
        if self.own_inputs is not None:
            build, encode = self.own_inputs.build_encoder, self.own_inputs.encode_whole
        return models.Classifier(
            encoder=build(config.model.encoder),
            num_classes=self.num_classes,
            head_layers=config.method.from_layer,
            head_dim=config.method.head_dim or None,
            dtype=config.model.encoder.dtype,
            encode=encode,
            trains_encoder=self.train_encoder,
        )

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes encoder, head and classifier."""
        kind = jnp.float32 if self.own_inputs is None else jnp.uint8
        params, variables = passes.init(self.network, key, self.image_shape, kind)
        return {"online": params}, {"online": variables}, ()

    def start_from(self, state: TrainState, source: Method, source_state: TrainState) -> TrainState:
        """Takes encoder and head from any run that has them; the classifier stays untrained."""
        if self.from_scratch:
            return state
        return weights.start_from(state, source, source_state, advice=_ADVICE)

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes one view of every image, and adds the labels."""
        if self.own_inputs is None:
            return super().views(key, batch)
        plain = dataclasses.replace(self.view, mean=None, std=None)
        view = augment.make_view(plain, key, batch["images"])
        # A task makes its inputs from images as they are in the data.
        pixels = augment.to_bytes(view)
        return {"image": pixels, "label": batch["images"][self.taught]}

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the network on the whole images; "logits" are the classes' scores."""
        if self.own_inputs is None:
            return super().features(state, images)
        variables = {"params": state.params["online"], **state.variables["online"]}
        outputs: Any = self.network.apply(variables, images, train=False)
        return outputs


def _all_but_encoder(name: str) -> float:
    return float(not name.startswith("encoder/"))
