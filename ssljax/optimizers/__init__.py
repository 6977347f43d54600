"""Optimizers and learning-rate schedules, built from a config."""

from ssljax.optimizers.build import Optimizer, build
from ssljax.optimizers.clock import scale_by_step
from ssljax.optimizers.freeze import build_with_frozen
from ssljax.optimizers.masks import NORMS_AND_BIASES, name_mask, scale_by_name
from ssljax.optimizers.settings import Settings
from ssljax.optimizers.settings import read as read_settings

__all__ = [
    "NORMS_AND_BIASES",
    "Optimizer",
    "Settings",
    "build",
    "build_with_frozen",
    "name_mask",
    "read_settings",
    "scale_by_name",
    "scale_by_step",
]
