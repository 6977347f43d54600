"""Scores of generators: FID, KID, Inception score, precision and recall, classes covered."""

from ssljax.evals.generative.extractor import Extractor, digest_weights, inception_extractor
from ssljax.evals.generative.generator import (
    compare,
    measure_samples,
    to_pixels,
)
from ssljax.evals.generative.reference import (
    Reference,
    ReferenceKey,
    digest_images,
    load_reference,
    measure_reference,
    save_reference,
)
from ssljax.evals.generative.score import Score
from ssljax.evals.generative.statistics import (
    Moments,
    SetStatistics,
    check_count,
    measure,
    summarize,
)

__all__ = [
    "Extractor",
    "Moments",
    "Reference",
    "ReferenceKey",
    "Score",
    "SetStatistics",
    "check_count",
    "compare",
    "digest_images",
    "digest_weights",
    "inception_extractor",
    "load_reference",
    "measure",
    "measure_reference",
    "measure_samples",
    "save_reference",
    "summarize",
    "to_pixels",
]
