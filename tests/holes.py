"""Convolutions with holes in float64 NumPy, one place of the output at a time."""

import numpy as np


def convolution(x, kernel, dilation=1, padded=True, stride=1):
    """A convolution of odd kernel; zeros around the map on all sides, or none.

    Args:
      x: (batch, height, width, channels).
      kernel: (size, size, channels, features).
      dilation: Distance of neighbouring places of the kernel.
      padded: Whether the output is of the map's size, or valid.
      stride: Distance of neighbouring places of the output.
    """
    size = kernel.shape[0]
    reach = dilation * (size - 1)
    pad = reach // 2 if padded else 0
    x = np.pad(np.float64(x), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = ((side - reach - 1) // stride + 1 for side in x.shape[1:3])
    y = np.zeros((x.shape[0], height, width, kernel.shape[-1]))
    for row, column in np.ndindex(height, width):
        for i, j in np.ndindex(size, size):
            place = x[:, row * stride + i * dilation, column * stride + j * dilation]
            y[:, row, column] += place @ np.float64(kernel[i, j])
    return y


def relu(x):
    """What is above 0."""
    return np.maximum(x, 0)
