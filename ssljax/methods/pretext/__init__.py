"""Pretext tasks: a network answers questions about images that need no labels."""

from ssljax.methods.contract import Method
from ssljax.methods.pretext.context_prediction import ContextPrediction
from ssljax.methods.pretext.counting import Counting
from ssljax.methods.pretext.cpc import CPC
from ssljax.methods.pretext.exemplar import Exemplar
from ssljax.methods.pretext.jigsaw import Jigsaw
from ssljax.methods.pretext.multi_task import MultiTask
from ssljax.methods.pretext.relative_transformation import RelativeTransformation
from ssljax.methods.pretext.rotation import Rotation

REGISTRY: dict[str, type[Method]] = {
    "context_prediction": ContextPrediction,
    "counting": Counting,
    "cpc": CPC,
    "exemplar": Exemplar,
    "jigsaw": Jigsaw,
    "multi_task": MultiTask,
    "relative_transformation": RelativeTransformation,
    "rotation": Rotation,
}
