"""Inception score: how sure a classifier is of each image, and how many classes there are."""

import numpy as np
from jaxtyping import Array, Float
from scipy.special import log_softmax, logsumexp


def inception_score(
    logits: Float[Array | np.ndarray, "rows classes"], splits: int = 10
) -> tuple[float, float]:
    """Exponential of the mutual information between image and class, over parts of the set.

    Args:
      logits: Logits of the classifier, in the order in which the images were drawn; Inception's
        are taken without their bias.
      splits: Equal parts of consecutive rows, each scored by its own marginal.

    Returns:
      Mean and standard deviation (of the parts themselves, not of their mean) over the parts; each
      is between 1 and the number of classes.

    Raises:
      ValueError: If there are fewer rows than parts, or a logit is not finite.

    Reference:
      Salimans et al., Improved Techniques for Training GANs (arXiv:1606.03498), 2016, section 4.
    """
    rows = len(logits)
    if not 1 <= splits <= rows:
        raise ValueError(f"{rows} rows cannot be split into {splits} parts for Inception score.")
    log_probabilities = log_softmax(np.asarray(logits).astype(np.float64), axis=1)
    if not np.isfinite(log_probabilities).all():
        raise ValueError("Logits are not finite: a score of them would mean nothing.")
    scores = []
    for split in range(splits):
        part = log_probabilities[split * rows // splits : (split + 1) * rows // splits]
        marginal = logsumexp(part, axis=0, keepdims=True) - np.log(len(part))
        divergence = np.sum(np.exp(part) * (part - marginal), axis=1)
        scores.append(np.exp(divergence.mean()))
    return float(np.mean(scores)), float(np.std(scores))
