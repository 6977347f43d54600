"""Views of a batch of images, made as a policy describes."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key, Num

from ssljax.augment.blur import gaussian_blur
from ssljax.augment.color import color_jitter, random_grayscale, solarize
from ssljax.augment.crop import center_crop, random_crop_with_padding, random_resized_crop
from ssljax.augment.geometry import random_flip
from ssljax.augment.keys import example_keys, fold_keys
from ssljax.augment.pixels import denormalize, normalize, to_float
from ssljax.augment.policy import ViewPolicy
from ssljax.augment.resample import Interpolation, resize

# The number of an operation picks its key: switching one off leaves the draws of the rest alone.
CROP, FLIP, _JITTER, _GRAY, _BLUR, _SOLARIZE = range(6)


def augment_view(
    policy: ViewPolicy,
    key: Key[Array, ""],
    images: Num[Array | np.ndarray, "batch height width channels"],
) -> Float[Array, "batch size size channels"]:
    """Makes one view of every image.

    The order is crop, flip, colour jitter, grey, blur, solarize, normalise. What happens to example
    i is a function of the key, i and the example. An operation of probability or strength 0 is left
    out of the compiled program.

    Args:
      policy: What to do; static under `jax.jit`.
      key: The key of this view at this step.
      images: Images as bytes (uint8), the whole batch.

    Returns:
      Views of `policy.size` squared, in [0, 1] unless the policy normalises.

    Raises:
      ValueError: If the images are not bytes, or the policy does not suit their size or channels.
    """
    keys = example_keys(key, images.shape[0])
    views = to_float(images)
    if policy.crop_scale is not None:
        views = random_resized_crop(
            fold_keys(keys, CROP),
            views,
            policy.size,
            policy.crop_scale,
            policy.crop_ratio,
            policy.interpolation,
        )
    else:
        views = _fit(views, policy.size, policy.size, policy.interpolation)
        views = random_crop_with_padding(fold_keys(keys, CROP), views, policy.crop_padding)
    return after_crop(policy, keys, views)


def after_crop(
    policy: ViewPolicy,
    keys: Key[Array, " batch"],
    views: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height width channels"]:
    """Does to views that are cut already what `augment_view` does after its crop.

    Args:
      policy: What to do.
      keys: One key per example.
      views: In [0, 1].
    """
    views = random_flip(fold_keys(keys, FLIP), views, policy.flip_p)
    views = color_jitter(
        fold_keys(keys, _JITTER),
        views,
        policy.brightness,
        policy.contrast,
        policy.saturation,
        policy.hue,
        policy.jitter_p,
        policy.brightness_mode,
        policy.contrast_mode,
    )
    views = random_grayscale(fold_keys(keys, _GRAY), views, policy.gray_p)
    views = gaussian_blur(
        fold_keys(keys, _BLUR),
        views,
        policy.blur_kernel,
        policy.blur_sigma,
        policy.blur_p,
        policy.blur_padding,
    )
    views = solarize(
        fold_keys(keys, _SOLARIZE), views, policy.solarize_p, policy.solarize_threshold
    )
    return normalize_view(policy, views)


def make_view(
    policy: ViewPolicy, key: Key[Array, ""], fields: Mapping[str, Any], number: int = 0
) -> Float[Array, "batch size size channels"]:
    """Makes one view of every record: as `augment_view`, or from what the host has cropped.

    Args:
      policy: What to do; static under `jax.jit`.
      key: The key of this view at this step.
      fields: Arrays of the records by name: "image", the images as bytes (uint8), or "crop0",
        "crop1" and so on, a crop as bytes for each view.
      number: Which of the crops is this view's.

    Returns:
      Views of `policy.size` squared, in [0, 1] unless the policy normalises.

    Raises:
      ValueError: If the pixels are not bytes, or the policy does not suit their size or channels.
    """
    if "image" in fields:
        return augment_view(policy, key, fields["image"])
    crops = fields[f"crop{number}"]
    if crops.shape[1:3] != (policy.size, policy.size):
        raise ValueError(
            f"the crops of view {number} are {crops.shape[1:3]} pixels, not {policy.size} squared."
        )
    return after_crop(policy, example_keys(key, crops.shape[0]), to_float(crops))


def make_views(
    key: Key[Array, ""], fields: Mapping[str, Any], policies: Sequence[tuple[ViewPolicy, int]]
) -> tuple[Float[Array, "batch _height _width channels"], ...]:
    """Makes several views of every record, each with its own key: see `make_view`.

    Args:
      key: The key of this step.
      fields: As for `make_view`.
      policies: Policies, and how many views of each.

    Returns:
      The views, in the order of the policies.

    Raises:
      ValueError: If the pixels are not bytes, or a policy does not suit their size or channels.

    Reference:
      Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments,
      2020, section 3.2.
    """
    views = [policy for policy, count in policies for _ in range(count)]
    return tuple(
        make_view(policy, jax.random.fold_in(key, i), fields, i) for i, policy in enumerate(views)
    )


def center_view(
    policy: ViewPolicy,
    images: Num[Array | np.ndarray, "batch height width channels"],
) -> Float[Array, "batch size size channels"]:
    """Makes the one view that an evaluation sees: resized, cut in the centre, normalised.

    Large images show the central seven eighths of their shorter side: for views of 224 pixels it is
    resized to 256, as is usual for ImageNet. Images as small as the view are shown whole.

    Args:
      policy: Gives the size, the interpolation and the normalisation.
      images: Images as bytes (uint8).

    Returns:
      Views of `policy.size` squared, in [0, 1] unless the policy normalises.

    Raises:
      ValueError: If the images are not bytes.
    """
    shorter_side = max(policy.size, min(*images.shape[1:3], round(policy.size * 8 / 7)))
    views = _fit(to_float(images), shorter_side, policy.size, policy.interpolation)
    return normalize_view(policy, views)


def _fit(
    images: Float[Array, "batch height width channels"],
    shorter_side: int,
    size: int,
    interpolation: Interpolation,
) -> Float[Array, "batch {size} {size} channels"]:
    return center_crop(resize(images, shorter_side, interpolation), size)


def normalize_view(
    policy: ViewPolicy, images: Float[Array, "*batch height width channels"]
) -> Float[Array, "*batch height width channels"]:
    """Normalises images as views are.

    Args:
      policy: Has the mean and the deviation, or neither: then the images stay as they are.
      images: Images in [0, 1], that may lie in several rows.

    Returns:
      The images.

    Raises:
      ValueError: If there is not one number per channel.
    """
    if policy.mean is None or policy.std is None:
        return images
    return normalize(images, policy.mean, policy.std)


def denormalize_view(
    policy: ViewPolicy, images: Float[Array, "*batch height width channels"]
) -> Float[Array, "*batch height width channels"]:
    """Undoes `normalize_view`.

    Args:
      policy: As there.
      images: Images as `normalize_view` returns them.

    Returns:
      The images in [0, 1], as far as they are images.
    """
    if policy.mean is None or policy.std is None:
        return images
    return denormalize(images, policy.mean, policy.std)
