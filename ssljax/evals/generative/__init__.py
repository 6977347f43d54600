"""Scores of generators: FID, KID, Inception score, precision and recall, classes covered."""

from ssljax.evals.generative.coverage import class_coverage
from ssljax.evals.generative.extractor import Extractor, digest_weights, inception_extractor
from ssljax.evals.generative.fid import frechet_distance
from ssljax.evals.generative.generator import (
    compare,
    measure_samples,
    to_pixels,
)
from ssljax.evals.generative.inception_score import inception_score
from ssljax.evals.generative.kid import kernel_distance, squared_mmd
from ssljax.evals.generative.neighbors import nearest_rows
from ssljax.evals.generative.precision_recall import precision_recall
from ssljax.evals.generative.reference import (
    Reference,
    ReferenceKey,
    digest_images,
    load_reference,
    measure_reference,
    save_reference,
)
from ssljax.evals.generative.score import Score
from ssljax.evals.generative.statistics import Moments, SetStatistics, check_count, measure

__all__ = [
    "Extractor",
    "Moments",
    "Reference",
    "ReferenceKey",
    "Score",
    "SetStatistics",
    "check_count",
    "class_coverage",
    "compare",
    "digest_images",
    "digest_weights",
    "frechet_distance",
    "inception_extractor",
    "inception_score",
    "kernel_distance",
    "load_reference",
    "measure",
    "measure_reference",
    "measure_samples",
    "nearest_rows",
    "precision_recall",
    "save_reference",
    "squared_mmd",
    "to_pixels",
]
