"""What a method may be able to do beside giving features: evaluations ask for it by `isinstance`.

Each is asked of the method at the state's step, and reads the state in evaluation mode. Images are
raw: uint8, (batch, height, width, channels).
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float, PRNGKeyArray, UInt8

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
class Translator(Protocol):
    """Gives images another look."""

    def translations(self) -> tuple[str, ...]:
        """Names of the ways there are, such as "photos to paintings"."""

    def translate(
        self, state: TrainState, images: Images, way: str
    ) -> Float[Array, "batch height width channels"]:
        """Makes of each image its like in [-1, 1], by one of `translations`."""


@runtime_checkable
class Segmenter(Protocol):
    """Names the class of each pixel."""

    def segment(self, state: TrainState, images: Images) -> Float[Array, "batch height width k"]:
        """Scores of the k classes of every pixel, as logits."""


@runtime_checkable
class Detector(Protocol):
    """Finds things in images."""

    def detect(self, state: TrainState, images: Images) -> Float[Array, "batch count 6"]:
        """The things of each image, the surest first.

        Returns:
          (top, left, bottom, right, class, score) a row, in pixels; -1 throughout where there is
          none.
        """


@runtime_checkable
class Tracker(Protocol):
    """Follows things through a clip, of which the first frame shows where they are."""

    def track(
        self,
        state: TrainState,
        clips: UInt8[Array, "batch frames height width channels"],
        first: Float[Array, "batch height width things"],
    ) -> Float[Array, "batch frames height width things"]:
        """How surely each pixel of each frame belongs to each thing, in [0, 1].

        Args:
          state: Training state.
          clips: Frames of videos.
          first: The same of the first frame, given.
        """
