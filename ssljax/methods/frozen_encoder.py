"""The encoder of a finished run, to compare images by what it sees in them."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
from jaxtyping import Array, Float

from ssljax import augment
from ssljax.methods.contract import Method
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import PretextTask

Images = Float[Array, "batch height width channels"]


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A frozen encoder, and how its images are normalised.

    Attributes:
      network: The encoder.
      view: Has its mean and deviation.
    """

    network: nn.Module
    view: augment.ViewPolicy

    def normalize(self, images: Images) -> Images:
        """Brings images in [0, 1] to what the encoder was trained on."""
        return augment.normalize_view(self.view, images)


def encoder_of(source: Method | None) -> Extractor | None:
    """The encoder of a run's method, which is called with whole normalised images.

    Args:
      source: The method; None where there is no run.

    Returns:
      The encoder, without its weights, which `pretext_method.encoder_weights` takes from the
      method's; None for a method without one.

    Raises:
      ValueError: If it is given other than whole images, normalised by the view.
    """
    encoder = getattr(getattr(source, "network", None), "encoder", None)
    if source is None or encoder is None:
        return None
    own_inputs = getattr(source, "own_inputs", None)
    if own_inputs is not None:
        origin = encoder_of(own_inputs)
        if origin is None:
            raise _not_whole(own_inputs)
        return Extractor(encoder, origin.view)
    if isinstance(source, PretextMethod):
        if type(source.pretext).features is not PretextTask.features:
            raise _not_whole(source)
        return Extractor(encoder, source.pretext.view)
    if source.policies:
        return Extractor(encoder, source.policies[0][0])
    view = getattr(source, "view", None)
    return None if view is None else Extractor(encoder, view)


def _not_whole(source: Method) -> ValueError:
    return ValueError(
        f"The run's encoder is that of {type(source).__name__}, which is not given whole "
        "normalised images as they are: name a run of another method, such as rotation."
    )
