"""Rules that turn images into those of another domain, of which the right translation is known.

A method that learns to translate without pairs can be scored exactly where the second domain is
the first one changed by a rule. Each rule maps uint8 images, (batch, height, width, channels), to
uint8 images of the same shape, and loses next to nothing on images of digits.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax.numpy as jnp
from jaxtyping import Array, UInt8

Images = UInt8[Array, "batch height width channels"]

_OF_BLACK = (16, 48, 128)  # A dark blue.
_OF_WHITE = (255, 208, 32)  # A yellow.


def unchanged(images: Images) -> Images:
    """Both domains are one.

    Args:
      images: Of any number of channels.

    Returns:
      The images themselves.

    Example:
      >>> import jax.numpy as jnp
      >>> print(unchanged(jnp.full((1, 1, 1, 1), 5, jnp.uint8))[0, 0, 0, 0])
      5
    """
    return images


def inverted(images: Images) -> Images:
    """Black becomes white, and white black.

    Args:
      images: Of any number of channels.

    Returns:
      Their negatives.

    Example:
      >>> import jax.numpy as jnp
      >>> int(inverted(jnp.full((1, 1, 1, 1), 5, jnp.uint8))[0, 0, 0, 0])
      250
    """
    return 255 - images


def turned(images: Images) -> Images:
    """Turns the images by 90 degrees, counter-clockwise as seen.

    Args:
      images: Square, of any number of channels.

    Returns:
      The turned images.

    Raises:
      ValueError: If they are not square.

    Example:
      >>> import jax.numpy as jnp
      >>> print(turned(jnp.array([[1, 2], [3, 4]], jnp.uint8)[None, :, :, None])[0, :, :, 0])
      [[2 4]
       [1 3]]
    """
    height, width = images.shape[1:3]
    if height != width:
        raise ValueError(
            f"The rule 'turned' needs square images, got {height} by {width}: "
            "set data.resize to one that makes them square."
        )
    return jnp.rot90(images, axes=(1, 2))


def colored(images: Images) -> Images:
    """Gives each brightness a colour of its own, from dark blue for black to yellow for white.

    Args:
      images: Of three channels; their brightness is the mean of the three.

    Returns:
      The coloured images.

    Raises:
      ValueError: If there are not three channels.

    Example:
      >>> import jax.numpy as jnp
      >>> print(colored(jnp.full((1, 1, 1, 3), 255, jnp.uint8))[0, 0, 0])
      [255 208  32]
    """
    if images.shape[-1] != 3:
        raise ValueError(
            f"The rule 'colored' needs images of 3 channels, got {images.shape[-1]}: "
            "set data.channels to 3."
        )
    brightness = jnp.sum(images.astype(jnp.int32), axis=-1, keepdims=True) // 3
    black = jnp.asarray(_OF_BLACK, jnp.int32)[None, None, None]
    white = jnp.asarray(_OF_WHITE, jnp.int32)[None, None, None]
    mixed = (black * (255 - brightness) + white * brightness + 127) // 255
    return mixed.astype(jnp.uint8)


KNOWN_MAPPINGS: Mapping[str, Callable[[Images], Images]] = MappingProxyType(
    {"none": unchanged, "inverted": inverted, "turned": turned, "colored": colored}
)
