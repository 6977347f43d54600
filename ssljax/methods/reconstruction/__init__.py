"""Reconstruction: what is hidden or destroyed of an image is restored."""

from ssljax.methods.contract import Method
from ssljax.methods.reconstruction.colorization import Colorization
from ssljax.methods.reconstruction.mae import MAE
from ssljax.methods.reconstruction.split_brain import SplitBrain

REGISTRY: dict[str, type[Method]] = {
    "colorization": Colorization,
    "mae": MAE,
    "split_brain": SplitBrain,
}
