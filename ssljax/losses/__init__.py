"""Losses of self-supervised learning: pure functions that stand on jax, optax and chex alone."""

from ssljax.losses.clustering import prototype_entropy, sinkhorn_knopp, swapped_prediction
from ssljax.losses.collapse import collapse_metrics, effective_rank
from ssljax.losses.contrastive import nt_xent
from ssljax.losses.decoupled import dcl, dclw
from ssljax.losses.distillation import dino_loss, update_center
from ssljax.losses.koleo import koleo
from ssljax.losses.momentum_contrast import enqueue, info_nce_batch, info_nce_queue
from ssljax.losses.nearest_neighbor import nearest_neighbors, nnclr
from ssljax.losses.reconstruction import masked_patch_mse
from ssljax.losses.redundancy import barlow_twins, vicreg, vicreg_terms
from ssljax.losses.regression import byol, byol_regression, negative_cosine, normalized_std, simsiam
from ssljax.losses.transport import sinkhorn_distance, sinkhorn_plan, wasserstein_1d

__all__ = [
    "barlow_twins",
    "byol",
    "byol_regression",
    "collapse_metrics",
    "dcl",
    "dclw",
    "dino_loss",
    "effective_rank",
    "enqueue",
    "info_nce_batch",
    "info_nce_queue",
    "koleo",
    "masked_patch_mse",
    "nearest_neighbors",
    "negative_cosine",
    "nnclr",
    "normalized_std",
    "nt_xent",
    "prototype_entropy",
    "simsiam",
    "sinkhorn_distance",
    "sinkhorn_knopp",
    "sinkhorn_plan",
    "swapped_prediction",
    "update_center",
    "vicreg",
    "vicreg_terms",
    "wasserstein_1d",
]
