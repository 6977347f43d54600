"""What a method may be able to do besides features: evaluations ask for it by `isinstance`.

Each is asked of the method at the state's step, and reads the state in evaluation mode. Images are
raw: uint8, (batch, height, width, channels).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
from jaxtyping import Array, Float, PRNGKeyArray, UInt8
from ml_collections import ConfigDict

from ssljax.methods.contract import TrainState

PyTree = Any
Images = UInt8[Array, "batch height width channels"]


@runtime_checkable
class Generator(Protocol):
    """Draws images."""

    def latents(self, key: PRNGKeyArray, count: int) -> PyTree:
        """Draws what images are made from: arrays with `count` rows each, noise, classes, ..."""

    def generate(self, state: TrainState, latents: PyTree) -> Float[Array, "count h w channels"]:
        """Makes an image of each row of latents.

        Args:
          state: Training state.
          latents: What `latents` draws, or mixtures of it.

        Returns:
          Images in [-1, 1].
        """


@runtime_checkable
class Reconstructor(Protocol):
    """Makes images again from its codes of them."""

    def reconstruct(
        self, state: TrainState, images: Images
    ) -> Float[Array, "batch side side channels"]:
        """Makes the reconstruction of each image, in [-1, 1] and of a size of its own."""

    def targets(self, images: Images) -> Float[Array, "batch side side channels"]:
        """What perfect reconstructions would be: that part of each image, of that size."""


@runtime_checkable
class PretextSolver(Protocol):
    """Answers questions about images that the images themselves answer.

    `images` are the fields of a batch, and `key` is of that batch.
    """

    def chance(self) -> Mapping[str, float]:
        """Its scores by name, and what a guess without looking has of each. More is better.

        NaN where that depends on the images: then `guess` tells.
        """

    def guess(
        self, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> dict[str, Float[Array, " batch"]]:
        """Each of the scores of a guess about each image; asked for where `chance` has a NaN."""

    def solve(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> dict[str, Float[Array, " batch"]]:
        """Each of the scores of its answers about each image."""

    def show(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> UInt8[Array, "batch columns height width channels"]:
        """Pictures of what is seen of each image, what is said, and what would be right."""


@runtime_checkable
class GivesOwnInputs(Protocol):
    """Gives its encoder something else than whole images: one channel of them, their tiles, ..."""

    def build_encoder(self, config: ConfigDict) -> nn.Module:
        """Makes an untrained encoder of the same form, by `config.model.encoder`."""

    def encode_whole(
        self, encode: Callable[[Array], dict[str, Array]], images: Images
    ) -> dict[str, Array]:
        """Encodes whole images as the method's own features are.

        Args:
          encode: An encoder that `build_encoder` has made.
          images: As they are in the data.

        Returns:
          The encoder's named outputs.
        """


@runtime_checkable
class Translator(Protocol):
    """Translates images from one domain to another."""

    def translations(self) -> tuple[str, ...]:
        """Names of the translations, such as "photos to paintings"."""

    def translate(
        self, state: TrainState, images: Images, way: str
    ) -> Float[Array, "batch height width channels"]:
        """Makes the translation of each image in [-1, 1], by one of `translations`."""


@runtime_checkable
class TranslatesPairs(Translator, Protocol):
    """Learns its translation from pairs, each of which is one image of the data."""

    def halves(self, images: Images) -> tuple[Images, Images]:
        """Parts images of the data into what is translated and what is to be made of it."""


@runtime_checkable
class Segmenter(Protocol):
    """Classifies each pixel."""

    def segment(self, state: TrainState, images: Images) -> Float[Array, "batch height width k"]:
        """Scores of the k classes of every pixel, as logits."""


@runtime_checkable
class Detector(Protocol):
    """Finds objects in images."""

    def detect(self, state: TrainState, images: Images) -> Float[Array, "batch count 6"]:
        """The objects in each image, the most confident first.

        Returns:
          (top, left, bottom, right, class, score) per row, in pixels; rows without an object are -1
          throughout.
        """


@runtime_checkable
class Tracker(Protocol):
    """Follows objects through videos, frame by frame, given where they are in the first."""

    def start_track(
        self,
        state: TrainState,
        frames: UInt8[Array, "batch height width channels"],
        first: Float[Array, "batch height width things"],
    ) -> PyTree:
        """Begins videos.

        Args:
          state: Training state.
          frames: The first frames, of any size.
          first: The share of each object in each of their pixels, which is given; the ground counts
            as an object, so that they sum to 1.

        Returns:
          What `track` shall know of the frames so far: arrays whose shapes do not change.
        """

    def track(
        self, state: TrainState, known: PyTree, frames: UInt8[Array, "batch height width channels"]
    ) -> tuple[PyTree, Float[Array, "batch rows columns things"]]:
        """Takes the objects to the next frames.

        Args:
          state: Training state.
          known: What `start_track`, or this of the frames before, has given.
          frames: The frames, of the size of the first ones.

        Returns:
          What is known now, and the share of each object in each place of a grid that is the
          method's own: its places are alike, fill the whole of the frame, and have the shares of
          their centres.
        """
