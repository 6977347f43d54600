"""Pretext tasks: a network answers questions about images that need no labels."""

from ssljax.methods.contract import Method
from ssljax.methods.pretext.cpc import CPC
from ssljax.methods.pretext.exemplar import Exemplar
from ssljax.methods.pretext.rotation import Rotation

REGISTRY: dict[str, type[Method]] = {
    "cpc": CPC,
    "exemplar": Exemplar,
    "rotation": Rotation,
}
