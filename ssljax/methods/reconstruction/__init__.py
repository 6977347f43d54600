"""Reconstruction: what is hidden or destroyed of an image is restored."""

from ssljax.methods.contract import Method
from ssljax.methods.reconstruction.autoencoder import Autoencoder, DenoisingAutoencoder
from ssljax.methods.reconstruction.bag_of_words import BagOfWords
from ssljax.methods.reconstruction.bownet import BoWNet
from ssljax.methods.reconstruction.colorization import Colorization
from ssljax.methods.reconstruction.context_encoder import ContextEncoder
from ssljax.methods.reconstruction.mae import MAE
from ssljax.methods.reconstruction.simmim import SimMIM
from ssljax.methods.reconstruction.split_brain import SplitBrain
from ssljax.methods.reconstruction.super_resolution import SuperResolution

REGISTRY: dict[str, type[Method]] = {
    "autoencoder": Autoencoder,
    "bag_of_words": BagOfWords,
    "bownet": BoWNet,
    "colorization": Colorization,
    "context_encoder": ContextEncoder,
    "denoising_autoencoder": DenoisingAutoencoder,
    "mae": MAE,
    "simmim": SimMIM,
    "split_brain": SplitBrain,
    "super_resolution": SuperResolution,
}
