"""Scores as pure functions of features, logits and labels.

Of frozen features: kNN, linear, non-linear and few-label probes. Of generated images: FID, KID,
Inception score, precision and recall, classes covered. Of embeddings: rank and collapse. Of
restored images: peak signal-to-noise ratio and structural similarity. Of masks: mean IoU and
accuracies; through videos, those of regions and contours. Of boxes, and of several labels an image:
average precision.
"""

from ssljax.metrics.average_precision import average_precision, mean_average_precision
from ssljax.metrics.coco_evaluation import official_average_precision
from ssljax.metrics.collapse import (
    collapse_metrics,
    effective_rank,
    generator_collapsed,
    rankme,
)
from ssljax.metrics.coverage import class_coverage
from ssljax.metrics.detection import (
    COCO_IOUS,
    Found,
    Truth,
    coco_average_precision,
    voc_average_precision,
)
from ssljax.metrics.few_label import few_label_probe
from ssljax.metrics.fid import frechet_distance
from ssljax.metrics.image_quality import decibels, luma, psnr, ssim, without_border
from ssljax.metrics.inception_score import inception_score
from ssljax.metrics.kid import kernel_distance, squared_mmd
from ssljax.metrics.knn import knn_accuracies, knn_accuracy, knn_predict
from ssljax.metrics.labels import labelled
from ssljax.metrics.linear import linear_probe
from ssljax.metrics.neighbors import nearest_rows
from ssljax.metrics.precision_recall import precision_recall
from ssljax.metrics.scaling import standardize
from ssljax.metrics.segmentation import confusion_matrix, segmentation_scores
from ssljax.metrics.video_segmentation import contour_accuracy, region_similarity

__all__ = [
    "COCO_IOUS",
    "Found",
    "Truth",
    "average_precision",
    "class_coverage",
    "coco_average_precision",
    "collapse_metrics",
    "confusion_matrix",
    "contour_accuracy",
    "decibels",
    "effective_rank",
    "few_label_probe",
    "frechet_distance",
    "generator_collapsed",
    "inception_score",
    "kernel_distance",
    "knn_accuracies",
    "knn_accuracy",
    "knn_predict",
    "labelled",
    "linear_probe",
    "luma",
    "mean_average_precision",
    "nearest_rows",
    "official_average_precision",
    "precision_recall",
    "psnr",
    "rankme",
    "region_similarity",
    "segmentation_scores",
    "squared_mmd",
    "ssim",
    "standardize",
    "voc_average_precision",
    "without_border",
]
