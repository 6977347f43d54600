"""Pure augmentation of batches on the device, keyed per example.

Every operation takes float32 images (batch, height, width, channels) in [0, 1] and, where it is
random, one typed key per example. Whole views are made of bytes (uint8): floats are refused, as
their range is not known.
"""

from ssljax.augment.aligned import (
    Geometry,
    cut_boxes,
    view_boxes,
    view_geometry,
    view_masks,
    warp_boxes,
    warp_masks,
)
from ssljax.augment.blur import gaussian_blur
from ssljax.augment.color import color_jitter, random_grayscale, solarize
from ssljax.augment.crop import (
    center_crop,
    crop_and_resize,
    random_crop_with_padding,
    random_resized_crop,
    sample_crop_boxes,
)
from ssljax.augment.geometry import affine_matrices, random_affine, random_flip, sample_affine, warp
from ssljax.augment.keys import example_keys, fold_keys
from ssljax.augment.patches import augment_patches, drop_channels
from ssljax.augment.pixels import check_bytes, normalize, to_float, to_tanh_range
from ssljax.augment.policy import ViewPolicy, view_from_config
from ssljax.augment.presets import simclr
from ssljax.augment.resample import resize
from ssljax.augment.views import augment_view, center_view, make_view, make_views

__all__ = [
    "Geometry",
    "ViewPolicy",
    "affine_matrices",
    "augment_patches",
    "augment_view",
    "center_crop",
    "center_view",
    "check_bytes",
    "color_jitter",
    "crop_and_resize",
    "cut_boxes",
    "drop_channels",
    "example_keys",
    "fold_keys",
    "gaussian_blur",
    "make_view",
    "make_views",
    "normalize",
    "random_affine",
    "random_crop_with_padding",
    "random_flip",
    "random_grayscale",
    "random_resized_crop",
    "resize",
    "sample_affine",
    "sample_crop_boxes",
    "simclr",
    "solarize",
    "to_float",
    "to_tanh_range",
    "view_boxes",
    "view_from_config",
    "view_geometry",
    "view_masks",
    "warp",
    "warp_boxes",
    "warp_masks",
]
