"""Scores of frozen features: kNN, linear probe, few-label probe; and of a classifier."""

from ssljax.evals.extract import Extracted, extract, pool, raw_pixels, stream
from ssljax.evals.few_label import few_label_probe, labelled_rows
from ssljax.evals.knn import knn_accuracies, knn_accuracy, knn_predict
from ssljax.evals.labels import labelled
from ssljax.evals.linear import linear_probe
from ssljax.evals.scaling import standardize
from ssljax.evals.suite import accuracy, score_features, score_names

__all__ = [
    "Extracted",
    "accuracy",
    "extract",
    "few_label_probe",
    "knn_accuracies",
    "knn_accuracy",
    "knn_predict",
    "labelled",
    "labelled_rows",
    "linear_probe",
    "pool",
    "raw_pixels",
    "score_features",
    "score_names",
    "standardize",
    "stream",
]
