"""Translation of images between two domains, learnt without pairs or from pairs."""

from ssljax.methods.contract import Method
from ssljax.methods.translation.cyclegan import CycleGAN
from ssljax.methods.translation.discogan import DiscoGAN
from ssljax.methods.translation.pix2pix import Pix2Pix

REGISTRY: dict[str, type[Method]] = {
    "cyclegan": CycleGAN,
    "discogan": DiscoGAN,
    "pix2pix": Pix2Pix,
}
