"""Classes of images, of which some may not be known."""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np
from jaxtyping import Array, Int

Rows = TypeVar("Rows", bound=Array | np.ndarray)


def labelled(
    features: Rows, labels: Int[Array | np.ndarray, "rows"], num_classes: int
) -> tuple[Rows, Int[np.ndarray, "known"]]:
    """Leaves out the rows without a label, which can be neither learnt from nor scored.

    Args:
      features: Features, or anything else with one row an image.
      labels: Their classes in [0, num_classes); -1 where there is none.
      num_classes: Number of classes.

    Returns:
      Features and classes of the others; the same arrays where every row has a label.

    Raises:
      ValueError: If a label is neither a class nor -1, or there is none.
    """
    labels = np.asarray(labels)
    known = labels >= 0
    if not known.any():
        raise ValueError(f"None of {len(labels)} rows has a label.")
    if labels.min() < -1 or labels.max() >= num_classes:
        raise ValueError(
            f"Labels are classes from 0 to {num_classes - 1}, or -1 for none, not "
            f"{labels.min()} to {labels.max()}."
        )
    if known.all():
        return features, labels
    return cast(Rows, features[known]), labels[known]
