"""Scores of classes of pixels, from a table of counts that grows with every image."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

VOID = -1
"""A pixel of no class."""


def confusion_matrix(
    truth: Int[Array | np.ndarray, "..."],
    predicted: Int[Array | np.ndarray, "..."],
    num_classes: int,
) -> Any:
    """Counts pixels by their class and by the class that is predicted.

    The counts of several images are the sum of their counts, whatever the images' sizes.

    Args:
      truth: Classes from 0; -1 in the void, where nothing is counted.
      predicted: Classes from 0.
      num_classes: How many classes there are.

    Returns:
      (true class, predicted class): int64 on the host for arrays of NumPy, whose values are
      checked; int32 on the devices for those of JAX, where a value out of range is not counted.

    Raises:
      ValueError: If the shapes differ, or a value of NumPy's arrays is out of range.

    Example:
      >>> import numpy as np
      >>> confusion_matrix(np.array([0, 1, 1, -1]), np.array([0, 0, 1, 1]), 2).tolist()
      [[1, 0], [1, 1]]
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"Masks are {truth.shape} and predictions {predicted.shape}.")
    if isinstance(truth, np.ndarray) and isinstance(predicted, np.ndarray):
        is_known = truth != VOID
        pairs = truth[is_known].astype(np.int64), predicted[is_known].astype(np.int64)
        for values, what in zip(pairs, ("mask", "prediction"), strict=True):
            if values.size and not 0 <= values.min() <= values.max() < num_classes:
                wrong = values.min() if values.min() < 0 else values.max()
                raise ValueError(
                    f"A {what} has the class {wrong}, and there are {num_classes} classes, numbered"
                    " from 0; -1 is the void."
                )
        counts = np.bincount(pairs[0] * num_classes + pairs[1], minlength=num_classes**2)
        return counts.reshape(num_classes, num_classes)
    true, said = jnp.asarray(truth), jnp.asarray(predicted)
    known = (true >= 0) & (true < num_classes) & (said >= 0) & (said < num_classes)
    cells = jnp.where(known, true * num_classes + said, num_classes**2).reshape(-1)
    table = jnp.zeros(num_classes**2, jnp.int32).at[cells].add(1, mode="drop")
    return table.reshape(num_classes, num_classes)


def segmentation_scores(matrix: Int[Array | np.ndarray, "classes classes"]) -> dict[str, Any]:
    """Reads the usual scores from a table of counts.

    Classes that no true pixel has do not enter the two means over classes; that they were predicted
    still counts against the classes that the pixels have.

    Args:
      matrix: As `confusion_matrix` counts it.

    Returns:
      "miou", the mean over classes of the pixels that are rightly of a class over those that are of
      it or are said to be; "class_accuracy", the mean over classes of the share of their pixels
      that is right; "pixel_accuracy", the share of all pixels that is right. All in [0, 1], and 0
      where there are no pixels.

    Reference:
      Long et al., Fully Convolutional Networks for Semantic Segmentation (arXiv:1411.4038), 2015,
      section 5. Absent classes: `libs/utils/metric.py` of kazuto1011/deeplab-pytorch.

    Example:
      >>> import numpy as np
      >>> scores = segmentation_scores(np.array([[1, 0], [1, 1]]))
      >>> [f"{scores[name]:.3f}" for name in ("miou", "class_accuracy", "pixel_accuracy")]
      ['0.500', '0.750', '0.667']
    """
    is_host = isinstance(matrix, np.ndarray)
    xp: Any = np if is_host else jnp
    counts = matrix.astype(np.float64 if is_host else jnp.float32)
    right, true, said = xp.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
    present = true > 0
    classes = xp.maximum(present.sum(), 1).astype(counts.dtype)
    union = xp.where(present, true + said - right, 1.0)
    return {
        "miou": (xp.where(present, right / union, 0.0)).sum() / classes,
        "class_accuracy": (xp.where(present, right / xp.maximum(true, 1.0), 0.0)).sum() / classes,
        "pixel_accuracy": right.sum() / xp.maximum(true.sum(), 1.0),
    }
