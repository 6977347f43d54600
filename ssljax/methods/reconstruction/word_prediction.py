"""What methods share that predict the visual words of images: all but the words themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.pretext_method import encoder_weights
from ssljax.methods.pretext_task import Encode

PyTree = Any


class WordPrediction(Method):
    """The student's features, and the mark of what it says: a `protocols.PretextSolver` but `show`.

    Attributes:
      view: How whole images are brought to the encoder's size and range.
      network: The student; its encoder is "encoder".
    """

    roles: ClassVar = {"encoder": models.ENCODER}
    view: augment.ViewPolicy
    network: Any

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the student's encoder on the whole images."""
        weights = encoder_weights(state.params["online"], state.variables["online"])

        def encode(images: Array) -> dict[str, Array]:
            outputs: Any = self.network.encoder.apply(weights, images, False)
            return dict(outputs)

        return self.encode_whole(encode, images)

    def build_encoder(self, config: ConfigDict) -> nn.Module:
        """Makes an encoder by `config.model.encoder`."""
        return models.encoder_from_config(config)

    def encode_whole(self, encode: Encode, images: Array) -> dict[str, Array]:
        """Encodes whole images, at the size and in the range of the teacher's view."""
        return encode(augment.center_view(self.view, images))

    def chance(self) -> Mapping[str, float]:
        """One score: whose words an image's are, of two images'."""
        return {"words_accuracy": 0.5}

    def guess(
        self, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> dict[str, Float[Array, " batch"]]:
        """Never asked: the chance depends on no image."""
        raise TypeError("What a guess has is told by chance.")

    def solve(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> dict[str, Float[Array, " batch"]]:
        """For each image the share of the batch's others whose words fit its prediction less."""
        divergences, _ = self._compare(state, images, key)
        return {"words_accuracy": losses.closer_than_others(divergences)}

    def _compare(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> tuple[Float[Array, "batch batch"], PyTree]:
        """How far each prediction is from each image's words, and the views of the images."""
        raise TypeError(f"{type(self).__name__} does not define _compare")
