"""An encoder with a head that scores the classes of every place of the image."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssljax.models.maps import last_map

PIXELS = "pixel_logits"
"""What the scores are called among a network's outputs."""


class SegmentationNet(nn.Module):
    """An encoder, a head on one of its maps, and both again on smaller images.

    The scores of several sizes are enlarged to the map of the largest, and at each place each
    class has its largest score.

    Attributes:
      encoder: Network with named outputs.
      head: Called as `head(map, train)`.
      stage: Which of the encoder's maps the head reads; empty for the last.
      scales: Sizes at which images are seen, as factors of their sides, the largest first.
      trains_encoder: Whether gradients reach the encoder, its norms use batch statistics and
        values are dropped in it.

    Reference:
      Chen et al., DeepLab (arXiv:1606.00915), 2017, section 4.1 (multi-scale inputs, max); `msc.py`
      of kazuto1011/deeplab-pytorch.
    """

    encoder: nn.Module
    head: nn.Module
    stage: str = ""
    scales: tuple[float, ...] = (1.0,)
    trains_encoder: bool = True

    def __call__(
        self, images: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Scores the classes of each place.

        Args:
          images: Normalised images.
          train: Whether this is a pass in training.

        Returns:
          The encoder's outputs for the images at the first scale, and `pixel_logits`, (batch,
          height, width, classes) in float32; where there are several scales, in training those of
          each as well, at their own size, as `pixel_logits/0.75` and so on.

        Raises:
          ValueError: If the encoder has no such stage, or the scales do not fall.
        """
        if not self.scales or list(self.scales) != sorted(set(self.scales), reverse=True):
            raise ValueError(f"The scales are {self.scales}: name the largest first, each once.")
        if self.scales[-1] <= 0:
            raise ValueError(f"The scales are {self.scales}: they must be above 0.")
        outputs, first = self._at(images, self.scales[0], train)
        found = {f"{PIXELS}/{self.scales[0]:g}": first}
        largest = first
        for scale in self.scales[1:]:
            _, logits = self._at(images, scale, train)
            found[f"{PIXELS}/{scale:g}"] = logits
            largest = jnp.maximum(largest, resized(logits, first.shape[1], first.shape[2]))
        several = found if train and len(self.scales) > 1 else {}
        return outputs | several | {PIXELS: largest}

    def _at(
        self, images: Float[Array, "batch height width channels"], scale: float, train: bool
    ) -> tuple[dict[str, Array], Float[Array, "batch rows columns classes"]]:
        """The encoder's outputs and the scores of images of another size."""
        sides = [max(1, int(side * scale)) for side in images.shape[1:3]]
        outputs = dict(self.encoder(resized(images, *sides), train and self.trains_encoder))
        if not self.trains_encoder:
            outputs = jax.lax.stop_gradient(outputs)
        if self.stage and self.stage not in outputs:
            raise ValueError(
                f"The encoder has no stage {self.stage!r}: set config.method.stage to one of "
                f"{', '.join(outputs)}."
            )
        read = outputs[self.stage] if self.stage else last_map(outputs)
        return outputs, self.head(read, train)


def resized(
    x: Float[Array, "batch _height _width channels"], height: int, width: int
) -> Float[Array, "batch {height} {width} channels"]:
    """Resizes images or maps bilinearly between the centres of their places, without smoothing.

    Args:
      x: Images or maps.
      height: Rows of the result.
      width: Its columns.
    """
    if x.shape[1:3] == (height, width):
        return x
    shape = (x.shape[0], height, width, x.shape[3])
    return jax.image.resize(x, shape, "linear", antialias=False)
