"""Two encoders of half the width, each for some of the channels of an image."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class SplitEncoder(nn.Module):
    """Two encoders that see different channels and share nothing.

    Attributes:
      first: Sees the first channels.
      second: Sees the others.
      channels: How many the first sees.

    Reference:
      Zhang et al., Split-Brain Autoencoders (arXiv:1611.09842), 2016.
    """

    first: nn.Module
    second: nn.Module
    channels: int = 1

    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the features of both, stage by stage.

        Args:
          x: Images.
          train: Whether norms use and update batch statistics.

        Returns:
          Every output of both: the channels of the first, then those of the second.
        """
        first = self.first(x[..., : self.channels], train)
        second = self.second(x[..., self.channels :], train)
        return {name: jnp.concatenate([first[name], second[name]], axis=-1) for name in first}


def half_width(encoder: nn.Module) -> nn.Module:
    """Makes the same encoder with half as many channels in every layer.

    Args:
      encoder: One of `models.ENCODERS`, not yet bound to parameters.

    Returns:
      The narrow one.

    Raises:
      ValueError: If the encoder's channels cannot be halved.
    """
    sizes: dict[str, Any] = {
        name: getattr(encoder, name) for name in _SIZES if hasattr(encoder, name)
    }
    halves: dict[str, Any] = {name: _half(value) for name, value in sizes.items()}
    if not halves:
        raise ValueError(f"{type(encoder).__name__} has no width that could be halved.")
    for name, half in halves.items():
        if half is None:
            raise ValueError(
                f"The encoder's {name}={sizes[name]!r} cannot be halved: choose even numbers."
            )
    return encoder.clone(**halves)


_SIZES = ("width", "widths", "fc_widths", "dim")


def _half(size: float | tuple[int, ...]) -> float | tuple[int, ...] | None:
    if isinstance(size, tuple):
        return None if any(x % 2 for x in size) else tuple(x // 2 for x in size)
    if isinstance(size, int) and size > 1:
        return None if size % 2 else size // 2
    return size / 2
