"""Losses of self-supervised learning: pure functions that stand on jax, optax and chex alone."""

from ssljax.losses.adversarial import (
    GAN_LOSSES,
    GANLoss,
    hinge_discriminator,
    least_squares_discriminator,
    least_squares_generator,
    logistic_discriminator,
    minimax_generator,
    non_saturating_generator,
    score_drift,
    wasserstein_discriminator,
    wasserstein_generator,
)
from ssljax.losses.bag_of_words import bag_of_words, closer_than_others, word_divergences
from ssljax.losses.clustering import prototype_entropy, swapped_prediction
from ssljax.losses.colorization import color_classification, color_regression
from ssljax.losses.contrastive import nt_xent
from ssljax.losses.counting import counting_distances, counting_loss
from ssljax.losses.decoupled import dcl, dclw
from ssljax.losses.deep_cluster import deep_cluster
from ssljax.losses.detection import center_ness_loss, focal_loss, giou_loss
from ssljax.losses.distillation import dino_loss, masked_patch_entropy, update_center
from ssljax.losses.energy import (
    ebgan_discriminator,
    ebgan_generator,
    pulling_away,
    reconstruction_energy,
)
from ssljax.losses.gradient_penalty import (
    clip_weights,
    dragan_penalty,
    interpolated_gradient_penalty,
    zero_centered_penalty,
)
from ssljax.losses.inference import (
    bigan_discriminator,
    bigan_encoder_generator,
    bigbigan_discriminator,
    bigbigan_encoder_generator,
)
from ssljax.losses.koleo import koleo
from ssljax.losses.latent_prediction import latent_smooth_l1
from ssljax.losses.momentum_contrast import info_nce_batch, info_nce_queue
from ssljax.losses.multi_label import multi_label_cross_entropy
from ssljax.losses.nearest_neighbor import nearest_neighbors, nnclr
from ssljax.losses.pixels import pixel_absolute_error, pixel_cross_entropy, pixel_squared_error
from ssljax.losses.predictive_coding import predictive_coding
from ssljax.losses.reconstruction import masked_patch_l1, masked_patch_mse
from ssljax.losses.redundancy import barlow_twins, vicreg, vicreg_terms
from ssljax.losses.regression import byol, byol_regression, negative_cosine, normalized_std, simsiam
from ssljax.losses.relative_transformation import transformation_error
from ssljax.losses.rotation_pretext import (
    in_four_orientations,
    rotation_loss,
    upright_only,
    with_rotations,
)
from ssljax.losses.semi_supervised import (
    feature_matching,
    sgan_generator,
    sgan_real_logits,
    sgan_supervised,
    sgan_unsupervised,
)
from ssljax.losses.siamese_triplet import other_groups, siamese_triplet
from ssljax.losses.sigreg import mean_view_prediction, sigreg
from ssljax.losses.soft_labels import labelled_distillation, soft_label_cross_entropy
from ssljax.losses.style import (
    content_loss,
    gram_matrix,
    photorealism_penalty,
    segmented_style_loss,
    style_loss,
    total_variation,
)
from ssljax.losses.translation import discogan_generator
from ssljax.losses.transport import sinkhorn_distance, wasserstein_1d
from ssljax.losses.triplet import semi_hard_triplet
from ssljax.losses.video_colorization import copied_color_cross_entropy
from ssljax.ops.kmeans import spherical_kmeans
from ssljax.ops.queue import enqueue
from ssljax.ops.transport import sinkhorn_knopp, sinkhorn_plan

__all__ = [
    "GAN_LOSSES",
    "GANLoss",
    "bag_of_words",
    "barlow_twins",
    "bigan_discriminator",
    "bigan_encoder_generator",
    "bigbigan_discriminator",
    "bigbigan_encoder_generator",
    "byol",
    "byol_regression",
    "center_ness_loss",
    "clip_weights",
    "closer_than_others",
    "color_classification",
    "color_regression",
    "content_loss",
    "copied_color_cross_entropy",
    "counting_distances",
    "counting_loss",
    "dcl",
    "dclw",
    "deep_cluster",
    "dino_loss",
    "discogan_generator",
    "dragan_penalty",
    "ebgan_discriminator",
    "ebgan_generator",
    "enqueue",
    "feature_matching",
    "focal_loss",
    "giou_loss",
    "gram_matrix",
    "hinge_discriminator",
    "in_four_orientations",
    "info_nce_batch",
    "info_nce_queue",
    "interpolated_gradient_penalty",
    "koleo",
    "labelled_distillation",
    "latent_smooth_l1",
    "least_squares_discriminator",
    "least_squares_generator",
    "logistic_discriminator",
    "masked_patch_entropy",
    "masked_patch_l1",
    "masked_patch_mse",
    "mean_view_prediction",
    "minimax_generator",
    "multi_label_cross_entropy",
    "nearest_neighbors",
    "negative_cosine",
    "nnclr",
    "non_saturating_generator",
    "normalized_std",
    "nt_xent",
    "other_groups",
    "photorealism_penalty",
    "pixel_absolute_error",
    "pixel_cross_entropy",
    "pixel_squared_error",
    "predictive_coding",
    "prototype_entropy",
    "pulling_away",
    "reconstruction_energy",
    "rotation_loss",
    "score_drift",
    "segmented_style_loss",
    "semi_hard_triplet",
    "sgan_generator",
    "sgan_real_logits",
    "sgan_supervised",
    "sgan_unsupervised",
    "siamese_triplet",
    "sigreg",
    "simsiam",
    "sinkhorn_distance",
    "sinkhorn_knopp",
    "sinkhorn_plan",
    "soft_label_cross_entropy",
    "spherical_kmeans",
    "style_loss",
    "swapped_prediction",
    "total_variation",
    "transformation_error",
    "update_center",
    "upright_only",
    "vicreg",
    "vicreg_terms",
    "wasserstein_1d",
    "wasserstein_discriminator",
    "wasserstein_generator",
    "with_rotations",
    "word_divergences",
    "zero_centered_penalty",
]
