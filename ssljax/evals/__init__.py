"""Scores of frozen features: kNN, linear probe, few-label probe."""

from ssljax.evals.few_label import few_label_probe
from ssljax.evals.knn import knn_accuracies, knn_accuracy, knn_predict
from ssljax.evals.linear import linear_probe, standardize
from ssljax.evals.suite import extract, pool, raw_pixels, score_features

__all__ = [
    "extract",
    "few_label_probe",
    "knn_accuracies",
    "knn_accuracy",
    "knn_predict",
    "linear_probe",
    "pool",
    "raw_pixels",
    "score_features",
    "standardize",
]
