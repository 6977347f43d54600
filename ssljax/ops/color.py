"""Colour spaces: sRGB, linear RGB, CIE XYZ and CIE Lab, under the white of D65.

Colours lie on the last axis. All conversions have finite slopes everywhere, at black too.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# IEC 61966-2-1, rounded as is usual, and the white of D65 for an observer of 2 degrees.
_XYZ_OF_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_RGB_OF_XYZ = (
    (3.240481, -1.537152, -0.498536),
    (-0.969255, 1.875990, 0.041556),
    (0.055647, -0.204041, 1.057311),
)
_WHITE = (0.95047, 1.0, 1.08883)
# CIE 15: below this share of the white, the root of Lab is a straight line.
_BEND = 6 / 29
_SLOPE = 1 / (3 * _BEND**2)
_OFFSET = 4 / 29

Colors = Float[Array, "*places 3"]


def srgb_to_linear(colors: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """Undoes the curve of sRGB: from what is stored to what is proportional to light.

    Args:
      colors: SRGB in [0, 1].

    Returns:
      Linear RGB in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{srgb_to_linear(jnp.float32(0.5)):.4f}")
      0.2140
    """
    curved = colors > 0.04045
    # Outside its own branch the power is taken of a number at which its slope is finite.
    power = ((jnp.where(curved, colors, 1.0) + 0.055) / 1.055) ** 2.4
    return jnp.where(curved, power, colors / 12.92)


def linear_to_srgb(colors: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """The curve of sRGB: from what is proportional to light to what is stored.

    Args:
      colors: Linear RGB in [0, 1].

    Returns:
      SRGB in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{linear_to_srgb(jnp.float32(0.2140)):.3f}")
      0.500
    """
    curved = colors > 0.0031308
    power = 1.055 * jnp.where(curved, colors, 1.0) ** (1 / 2.4) - 0.055
    return jnp.where(curved, power, 12.92 * colors)


def linear_to_xyz(colors: Colors) -> Colors:
    """From linear RGB to CIE XYZ, in which white is (0.95, 1, 1.09).

    Args:
      colors: Linear RGB.

    Returns:
      CIE XYZ.

    Example:
      >>> import jax.numpy as jnp
      >>> [f"{x:.4f}" for x in linear_to_xyz(jnp.ones(3))]
      ['0.9505', '1.0000', '1.0888']
    """
    return _mix(colors, _XYZ_OF_RGB)


def xyz_to_linear(colors: Colors) -> Colors:
    """From CIE XYZ to linear RGB.

    Args:
      colors: CIE XYZ.

    Returns:
      Linear RGB, outside [0, 1] for what no screen shows.

    Example:
      >>> import jax.numpy as jnp
      >>> [f"{x:.2f}" for x in xyz_to_linear(jnp.array([0.0, 0.5, 0.0]))]
      ['-0.77', '0.94', '-0.10']
    """
    return _mix(colors, _RGB_OF_XYZ)


def xyz_to_lab(colors: Colors) -> Colors:
    """From CIE XYZ to CIE Lab.

    Args:
      colors: CIE XYZ, in which white is (0.95, 1, 1.09).

    Returns:
      Lightness L in [0, 100]; a, from green to red, and b, from blue to yellow, both 0 for greys.

    Example:
      >>> import jax.numpy as jnp
      >>> [f"{abs(x):.1f}" for x in xyz_to_lab(jnp.array([0.95047, 1.0, 1.08883]))]
      ['100.0', '0.0', '0.0']
    """
    shares = colors / _row(_WHITE, colors)
    rooted = shares > _BEND**3
    # Outside its own branch the root is taken of 1: at 0 its slope is infinite.
    roots = jnp.where(rooted, jnp.cbrt(jnp.where(rooted, shares, 1.0)), _SLOPE * shares + _OFFSET)
    x, y, z = roots[..., 0], roots[..., 1], roots[..., 2]
    return jnp.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)


def lab_to_xyz(colors: Colors) -> Colors:
    """From CIE Lab to CIE XYZ: the inverse of `xyz_to_lab`.

    Args:
      colors: CIE Lab.

    Returns:
      CIE XYZ.

    Example:
      >>> import jax.numpy as jnp
      >>> [f"{x:.4f}" for x in lab_to_xyz(jnp.array([50.0, 0.0, 0.0]))]
      ['0.1751', '0.1842', '0.2005']
    """
    y = (colors[..., 0] + 16.0) / 116.0
    roots = jnp.stack([y + colors[..., 1] / 500.0, y, y - colors[..., 2] / 200.0], axis=-1)
    shares = jnp.where(roots > _BEND, roots**3, (roots - _OFFSET) / _SLOPE)
    return shares * _row(_WHITE, colors)


def srgb_to_lab(colors: Colors) -> Colors:
    """From sRGB to CIE Lab.

    Args:
      colors: SRGB in [0, 1], red, green and blue.

    Returns:
      L in [0, 100], a in [-86.2, 98.2] and b in [-107.9, 94.5].

    Example:
      >>> import jax.numpy as jnp
      >>> [f"{x:.1f}" for x in srgb_to_lab(jnp.array([1.0, 0.0, 0.0]))]
      ['53.2', '80.1', '67.2']
    """
    return xyz_to_lab(linear_to_xyz(srgb_to_linear(colors)))


def lab_to_srgb(colors: Colors) -> Colors:
    """From CIE Lab to sRGB, clipped to what a screen shows.

    Args:
      colors: CIE Lab.

    Returns:
      SRGB in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> [f"{x:.3f}" for x in lab_to_srgb(jnp.array([50.0, 0.0, 0.0]))]
      ['0.466', '0.466', '0.466']
    """
    return linear_to_srgb(jnp.clip(xyz_to_linear(lab_to_xyz(colors)), 0.0, 1.0))


def _mix(colors: Colors, matrix: tuple[tuple[float, ...], ...]) -> Colors:
    """Multiplies each colour by a matrix; accelerators would round to 8 or 10 bits by default."""
    weights = jnp.asarray(matrix, colors.dtype)
    return jnp.matmul(colors, weights.T, precision=lax.Precision.HIGHEST)


def _row(values: tuple[float, ...], like: Array) -> Array:
    return jnp.asarray(values, like.dtype).reshape((1,) * (like.ndim - 1) + (-1,))
