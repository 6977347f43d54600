"""Evaluations: plug-ins that score a state, found by name in `REGISTRY`.

To add one, write a class over `ssljax.evals.contract` in a file of its own and list it here.
"""

from ml_collections import ConfigDict

from ssljax.evals import generation
from ssljax.evals.classifier import Classifier
from ssljax.evals.contract import Evaluation, Run, Scores
from ssljax.evals.detection import Detection
from ssljax.evals.embedding_map import EmbeddingMap
from ssljax.evals.encoder_pictures import EncoderPictures
from ssljax.evals.extract import Extracted, extract, pool, raw_pixels, stream
from ssljax.evals.few_label import FewLabel
from ssljax.evals.generation import Coverage, Fid, InceptionScore, Kid, PrecisionRecall
from ssljax.evals.knn import Knn
from ssljax.evals.linear import Linear
from ssljax.evals.linear_segmentation import LinearSegmentation
from ssljax.evals.mlp import Mlp
from ssljax.evals.multi_label import MultiLabelRanking
from ssljax.evals.pictures import Pictures
from ssljax.evals.pretext import Pretext
from ssljax.evals.propagation import Propagation
from ssljax.evals.reconstruction import Reconstruction
from ssljax.evals.segmentation import Segmentation
from ssljax.evals.svm import Svm
from ssljax.evals.transfer import PROBES, Transfer
from ssljax.evals.translation import Translation
from ssljax.methods.contract import Method
from ssljax.methods.protocols import (
    Detector,
    Generator,
    PretextSolver,
    Reconstructor,
    Segmenter,
    Translator,
)

REGISTRY: dict[str, type[Evaluation]] = {
    "knn": Knn,
    "linear": Linear,
    "mlp": Mlp,
    "few_label": FewLabel,
    "svm": Svm,
    "transfer": Transfer,
    "classifier": Classifier,
    "multi_label": MultiLabelRanking,
    "fid": Fid,
    "kid": Kid,
    "inception_score": InceptionScore,
    "precision_recall": PrecisionRecall,
    "coverage": Coverage,
    "pictures": Pictures,
    "encoder_pictures": EncoderPictures,
    "embedding_map": EmbeddingMap,
    "pretext": Pretext,
    "reconstruction": Reconstruction,
    "segmentation": Segmentation,
    "linear_segmentation": LinearSegmentation,
    "propagation": Propagation,
    "detection": Detection,
    "translation": Translation,
}


def default_config(method: type[Method]) -> ConfigDict:
    """The keys under `config.evals`: those of all evaluations, and a group for each.

    Args:
      method: What is evaluated: a method that draws images ends with pictures of them, one with a
        pretext task, or that translates images, makes them again, classifies their pixels or finds
        things in them, with the scores of that.
    """
    abilities = {
        "pictures": Generator,
        "pretext": PretextSolver,
        "reconstruction": Reconstructor,
        "segmentation": Segmenter,
        "detection": Detector,
        "translation": Translator,
    }
    own = (name for name, ability in abilities.items() if issubclass(method, ability))
    config = ConfigDict(
        dict(
            # Which are made at the end, and by --mode=evaluate.
            final=("knn", "linear", "few_label", *own),
            baselines=True,  # At the end, a random network and raw pixels as well.
            name="",  # Empty: the training set.
            dir="",
            train_split="train",
            test_split="test",
            stages=("features",),  # Layers that are probed, in one pass over the images.
            pool="average",  # Or "max": what is kept of the places of a layer's map.
            # How many values of a map are kept at most, on the largest square grid; 0: one place.
            pool_values=0,
            batch_size=512,
            generator=generation.shared_config(),
        )
    )
    for name, evaluation in REGISTRY.items():
        # Train steps between two of them; 0: only at the end.
        config[name] = ConfigDict({"every": 0, **evaluation.default_config()})
    return config


__all__ = [
    "PROBES",
    "REGISTRY",
    "Evaluation",
    "Extracted",
    "Run",
    "Scores",
    "default_config",
    "extract",
    "pool",
    "raw_pixels",
    "stream",
]
