"""Fréchet distance between two sets of features: with Inception features, FID."""

import numpy as np
from jaxtyping import Float


def frechet_distance(
    mean_a: Float[np.ndarray, "dim"],
    covariance_a: Float[np.ndarray, "dim dim"],
    mean_b: Float[np.ndarray, "dim"],
    covariance_b: Float[np.ndarray, "dim dim"],
) -> float:
    """Squared Fréchet distance between two normal distributions.

    It is ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½). With Σ = L Lᵀ the last trace is that of the root
    of (L₁ᵀ L₂)(L₁ᵀ L₂)ᵀ, which is symmetric: its eigenvalues are real, even if the covariances are
    rank-deficient.

    Args:
      mean_a: Mean of the first set.
      covariance_a: Its covariance, symmetric and positive semidefinite.
      mean_b: Mean of the second set.
      covariance_b: Its covariance.

    Returns:
      The distance, at least 0.

    Reference:
      Heusel et al., GANs Trained by a Two Time-Scale Update Rule (arXiv:1706.08500), 2017, eq. 6.
    """
    overlap = _factor(covariance_a).T @ _factor(covariance_b)
    rows, columns = overlap.shape
    # The smaller product has the same eigenvalues without the zeros, whose rounding would add up.
    product = overlap @ overlap.T if rows <= columns else overlap.T @ overlap
    root_trace = np.sqrt(np.maximum(np.linalg.eigvalsh(product), 0.0)).sum()
    shift = mean_a.astype(np.float64) - mean_b.astype(np.float64)
    spread = np.trace(covariance_a.astype(np.float64)) + np.trace(covariance_b.astype(np.float64))
    return max(float(shift @ shift + spread - 2.0 * root_trace), 0.0)


def _factor(covariance: Float[np.ndarray, "dim dim"]) -> Float[np.ndarray, "dim rank"]:
    """Returns L with Σ = L Lᵀ and as many columns as Σ has eigenvalues above rounding."""
    values, vectors = np.linalg.eigh(covariance.astype(np.float64))
    smallest = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    real = values > smallest
    return vectors[:, real] * np.sqrt(values[real])[None]
