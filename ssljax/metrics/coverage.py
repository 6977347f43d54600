"""Which classes of the real images a generator draws, and how often."""

import numpy as np
from jaxtyping import Int, Real

from ssljax.metrics.knn import knn_predict
from ssljax.metrics.labels import labelled

_K, _TEMPERATURE = 20, 0.07


def class_coverage(
    fake: Real[np.ndarray, "fakes dim"],
    real: Real[np.ndarray, "reals dim"],
    labels: Int[np.ndarray, "reals"],
    num_classes: int,
) -> tuple[float, int]:
    """Counts the classes of generated images, each classified by its nearest real images.

    Args:
      fake: Features of generated images.
      real: Features of real images.
      labels: Classes of the real images, in [0, num_classes); one of -1, without, is left out.
      num_classes: Number of classes.

    Returns:
      The divergence KL(fake ‖ real) between the two distributions of classes, in nats; and the
      number of classes with at least one generated image. Classes are assigned by weighted kNN (k
      20, τ 0.07), whose errors count: held-out real images give the floor.

    Reference:
      Lin et al., PacGAN (arXiv:1712.04086), 2018, section 4.1, measures the stacked digits of Metz
      et al., Unrolled GAN (arXiv:1611.02163), 2017, in this way.
    """
    real, labels = labelled(real, labels, num_classes)
    named = knn_predict(real, labels, fake, num_classes, _K, _TEMPERATURE)
    counts = np.bincount(named, minlength=num_classes)
    hit = counts > 0
    drawn = counts[hit] / len(fake)
    # A class that is named has a real image: its neighbour.
    wanted = np.bincount(labels, minlength=num_classes)[hit] / len(real)
    return float(np.sum(drawn * np.log(drawn / wanted))), int(hit.sum())
