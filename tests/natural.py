"""Images of noise that look alike at every scale, as photographs do."""

import numpy as np
from jaxtyping import Float, UInt8


def natural_noise(count: int, side: int, seed: int = 0) -> Float[np.ndarray, "count side side 1"]:
    """Noise whose amplitudes fall as 1 / frequency, cut from a field that is twice as wide.

    Args:
      count: Number of images.
      side: Their side in pixels.
      seed: Of the noise.

    Returns:
      Images about 0.5, with a standard deviation near 0.2.
    """
    wide = 2 * side
    axis = np.fft.fftfreq(wide)
    frequency = np.hypot(axis[:, None], axis[None])
    frequency[0, 0] = np.inf
    noise = np.random.default_rng(seed).normal(size=(count, wide, wide))
    field = np.fft.ifft2(np.fft.fft2(noise) / frequency).real
    field *= 0.2 / field.std(axis=(1, 2), keepdims=True)
    return (0.5 + field[:, :side, :side, None]).astype(np.float32)


def natural_picture(side: int, seed: int = 0) -> UInt8[np.ndarray, "side side 3"]:
    """A colour image, in bytes, of three such noises.

    Args:
      side: Its side in pixels.
      seed: Of the noise.
    """
    planes = natural_noise(3, side, seed)[..., 0].transpose(1, 2, 0)
    return np.clip(255 * planes, 0, 255).astype(np.uint8)


def sharpness(images: Float[np.ndarray, "count side side 1"]) -> Float[np.ndarray, "count 6"]:
    """What is left of images when all but their highest frequencies are taken away: its energy.

    Args:
      images: At least 5 pixels wide.

    Returns:
      The logarithms of the energies of differences, in several directions.
    """
    planes = np.asarray(images, np.float64)[..., 0]
    across, down = np.diff(planes, axis=2), np.diff(planes, axis=1)
    residues = (
        across,
        down,
        np.diff(across, axis=2),
        np.diff(down, axis=1),
        np.diff(across, axis=1),
        np.diff(across, n=3, axis=2),
    )
    return np.stack([np.log(np.mean(x**2, axis=(1, 2)) + 1e-9) for x in residues], axis=1)


def traces(images: Float[np.ndarray, "count side side 1"]) -> Float[np.ndarray, "count 30"]:
    """Energies of many bands, for a reader that is stronger than one of `sharpness`.

    By what is given, a linear model can undo a Gaussian blur of unknown width: it adds to each
    logarithm, by a known factor.

    Args:
      images: At least 6 pixels wide.

    Returns:
      The logarithms of the energies of differences up to the fifth, across, down and both ways, at
      mean 0 and standard deviation 1, and their squares less 1.
    """
    planes = np.asarray(images, np.float64)[..., 0]
    residues = []
    for order in range(1, 6):
        residues += [np.diff(planes, order, axis) for axis in (1, 2)]
        residues.append(np.diff(np.diff(planes, order, 1), order, 2))
    levels = np.stack([np.log(np.mean(x**2, axis=(1, 2)) + 1e-15) for x in residues], axis=1)
    levels = (levels - levels.mean(axis=0)) / levels.std(axis=0)
    return np.concatenate([levels, levels**2 - 1], axis=1)
