"""Evaluations: features of whole sets, and their scores."""

from ssljax.evals.extract import Extracted, extract, pool, raw_pixels, stream
from ssljax.evals.suite import accuracy, score_features, score_names

__all__ = [
    "Extracted",
    "accuracy",
    "extract",
    "pool",
    "raw_pixels",
    "score_features",
    "score_names",
    "stream",
]
