"""Pure augmentation of batches on the device, keyed per example.

Every operation takes float32 images (batch, height, width, channels) in [0, 1] and, where it is
random, one typed key per example. Whole views are made of bytes (uint8): floats are refused, as
their range is not known.
"""

from ssljax.augment.aligned import (
    Geometry,
    cut_boxes,
    cut_masks,
    move_boxes,
    view_boxes,
    view_geometry,
    view_masks,
    warp_boxes,
    warp_masks,
)
from ssljax.augment.blur import check_equalization, equalize_sharpness, gaussian_blur
from ssljax.augment.color import color_jitter, random_grayscale, solarize, to_gray
from ssljax.augment.corrupt import (
    center_mask,
    gaussian_noise,
    masking_noise,
    random_region_mask,
    salt_and_pepper,
)
from ssljax.augment.crop import (
    center_crop,
    crop_and_resize,
    random_crop_with_padding,
    random_resized_crop,
    sample_crop_boxes,
)
from ssljax.augment.downsample import FILTERS, halve
from ssljax.augment.frames import (
    FramePolicy,
    frame_views,
    frame_windows,
    frames_to_pixels,
    normalize_frames,
    split_channels,
)
from ssljax.augment.geometry import affine_matrices, random_affine, random_flip, sample_affine, warp
from ssljax.augment.homography import (
    at_pixel_centers,
    corner_homographies,
    invert,
    sample_corners,
)
from ssljax.augment.keys import example_keys, fold_keys
from ssljax.augment.pairs import split_pairs
from ssljax.augment.patches import augment_patches, drop_channels
from ssljax.augment.pixels import (
    check_bytes,
    denormalize,
    normalize,
    tanh_range,
    to_bytes,
    to_float,
    to_tanh_range,
    unit_range,
)
from ssljax.augment.policy import ViewPolicy, view_from_config
from ssljax.augment.presets import simclr
from ssljax.augment.resample import resize
from ssljax.augment.scaled import scaled_boxes, scaled_geometry, scaled_masks, scaled_view
from ssljax.augment.shortcuts import (
    center,
    drop_colors,
    project_colors,
    random_down_and_up,
    scale_to_rms,
    standardize,
)
from ssljax.augment.tiles import (
    cell_corners,
    cut_tiles,
    grid_corners,
    grid_side,
    lay_out,
    sample_grid_boxes,
    sample_offsets,
    tile_keys,
)
from ssljax.augment.views import (
    augment_view,
    center_view,
    denormalize_view,
    make_view,
    make_views,
    normalize_view,
)

__all__ = [
    "FILTERS",
    "FramePolicy",
    "Geometry",
    "ViewPolicy",
    "affine_matrices",
    "at_pixel_centers",
    "augment_patches",
    "augment_view",
    "cell_corners",
    "center",
    "center_crop",
    "center_mask",
    "center_view",
    "check_bytes",
    "check_equalization",
    "color_jitter",
    "corner_homographies",
    "crop_and_resize",
    "cut_boxes",
    "cut_masks",
    "cut_tiles",
    "denormalize",
    "denormalize_view",
    "drop_channels",
    "drop_colors",
    "equalize_sharpness",
    "example_keys",
    "fold_keys",
    "frame_views",
    "frame_windows",
    "frames_to_pixels",
    "gaussian_blur",
    "gaussian_noise",
    "grid_corners",
    "grid_side",
    "halve",
    "invert",
    "lay_out",
    "make_view",
    "make_views",
    "masking_noise",
    "move_boxes",
    "normalize",
    "normalize_frames",
    "normalize_view",
    "project_colors",
    "random_affine",
    "random_crop_with_padding",
    "random_down_and_up",
    "random_flip",
    "random_grayscale",
    "random_region_mask",
    "random_resized_crop",
    "resize",
    "salt_and_pepper",
    "sample_affine",
    "sample_corners",
    "sample_crop_boxes",
    "sample_grid_boxes",
    "sample_offsets",
    "scale_to_rms",
    "scaled_boxes",
    "scaled_geometry",
    "scaled_masks",
    "scaled_view",
    "simclr",
    "solarize",
    "split_channels",
    "split_pairs",
    "standardize",
    "tanh_range",
    "tile_keys",
    "to_bytes",
    "to_float",
    "to_gray",
    "to_tanh_range",
    "unit_range",
    "view_boxes",
    "view_from_config",
    "view_geometry",
    "view_masks",
    "warp",
    "warp_boxes",
    "warp_masks",
]
