"""The views of well-known methods."""

import dataclasses

from ssljax.augment.color import BrightnessMode
from ssljax.augment.policy import ViewPolicy

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CIFAR10_MEAN = (125.3 / 255, 123.0 / 255, 113.9 / 255)
CIFAR10_STD = (63.0 / 255, 62.1 / 255, 66.7 / 255)
"""Of ImageNet's training images, per channel, in units of [0, 1]."""


def simclr(
    size: int,
    strength: float = 1.0,
    blur: bool = True,
    brightness_mode: BrightnessMode = "multiplicative",
) -> ViewPolicy:
    """Makes the view of SimCLR; the method makes both of its views with it.

    Args:
      size: Side of the square view in pixels.
      strength: Strength s of the colour distortion: 1 for ImageNet, 0.5 for CIFAR.
      blur: Whether to blur half of the views; off for CIFAR.
      brightness_mode: "multiplicative" (v2) or "additive" (v1).

    Returns:
      The policy. It does not normalise, as the authors do not; contrast, saturation and the
      borders of the blur are TensorFlow's.

    Reference:
      Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020,
      appendices A and B.9; `data_util.py` of google-research/simclr.
    """
    return ViewPolicy(
        size,
        interpolation="bicubic",
        brightness=0.8 * strength,
        contrast=0.8 * strength,
        saturation=0.8 * strength,
        hue=0.2 * strength,
        brightness_mode=brightness_mode,
        contrast_mode="tensorflow",
        gray_p=0.2,
        blur_p=0.5 if blur else 0.0,
        blur_padding="zeros",
    )


def byol(
    size: int, least_crop: float = 0.08, *, original: bool = False
) -> tuple[ViewPolicy, ViewPolicy]:
    """Makes the two views of BYOL, Barlow Twins, VICReg, NNCLR and MoCo v3.

    Args:
      size: Side of the square views in pixels.
      least_crop: Least area of a crop, as a fraction of the image's; 0.2 for MoCo v3's ResNet.
      original: Colours and blur as in BYOL's own code: brightness is added, contrast is about
        each channel's mean, saturation is HSV's, and zeros lie around a blurred image. Later
        methods use torchvision's.

    Returns:
      The first policy, which always blurs, and the second, which seldom blurs and sometimes
      solarizes; they agree in everything else.

    Reference:
      Grill et al., Bootstrap Your Own Latent, 2020, table 6; `byol/utils/augmentations.py` of
      google-deepmind/deepmind-research.
    """
    first = ViewPolicy(
        size,
        crop_scale=(least_crop, 1.0),
        interpolation="bicubic",
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        brightness_mode="additive" if original else "multiplicative",
        contrast_mode="tensorflow" if original else "torchvision",
        gray_p=0.2,
        blur_p=1.0,
        blur_padding="zeros" if original else "reflect",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )
    return first, dataclasses.replace(first, blur_p=0.1, solarize_p=0.2)


def moco_v1(size: int) -> ViewPolicy:
    """Makes the view of MoCo v1: jitter on every image, with strong hue, and no blur.

    Args:
      size: Side of the square view in pixels.

    Returns:
      The policy. The authors convert to grey before the jitter; here the jitter comes first.

    Reference:
      He et al., Momentum Contrast for Unsupervised Visual Representation Learning, 2020, section
      3.3.
    """
    return ViewPolicy(
        size,
        crop_scale=(0.2, 1.0),
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.4,
        jitter_p=1.0,
        gray_p=0.2,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def moco_v2(size: int) -> ViewPolicy:
    """Makes the view of MoCo v2 and SimSiam: SimCLR's operations at half the strength.

    Args:
      size: Side of the square view in pixels.

    Returns:
      The policy.

    Reference:
      Chen et al., Improved Baselines with Momentum Contrastive Learning, 2020, section 3.
    """
    return ViewPolicy(
        size,
        crop_scale=(0.2, 1.0),
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        gray_p=0.2,
        blur_p=0.5,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def swav(
    size: int, crop_scale: tuple[float, float], strength: float = 1.0, blur: bool = True
) -> ViewPolicy:
    """Makes a crop of SwAV: SimCLR's colours at every size.

    Args:
      size: Side of the square crop in pixels: 224, or 96 for the small ones.
      crop_scale: Range of the crop's area: (0.14, 1) for the large crops and (0.05, 0.14) for the
        small ones; (0.08, 1) for two large crops alone.
      strength: Strength s of the colour distortion.
      blur: Whether to blur half of the crops.

    Returns:
      The policy. It normalises by ImageNet's statistics.

    Reference:
      Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments,
      2020, appendix A; `multicropdataset.py` of facebookresearch/swav.
    """
    return ViewPolicy(
        size,
        crop_scale=crop_scale,
        brightness=0.8 * strength,
        contrast=0.8 * strength,
        saturation=0.8 * strength,
        hue=0.2 * strength,
        gray_p=0.2,
        blur_p=0.5 if blur else 0.0,
        blur_kernel=23,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def dino(
    size: int, crop_scale: tuple[float, float], blur_p: float, solarize_p: float = 0.0
) -> ViewPolicy:
    """Makes a crop of DINO.

    ================ ==== =========== ====== ==========
    crop             size crop_scale  blur_p solarize_p
    ================ ==== =========== ====== ==========
    first global     224  (0.4, 1)    1.0
    second global    224  (0.4, 1)    0.1    0.2
    local            96   (0.05, 0.4) 0.5
    ================ ==== =========== ====== ==========

    Args:
      size: Side of the square crop in pixels.
      crop_scale: Range of the crop's area as a fraction of the image's.
      blur_p: Probability of Gaussian blur.
      solarize_p: Probability of solarization.

    Returns:
      The policy. It normalises by ImageNet's statistics.

    Reference:
      Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021, section 3.2;
      `main_dino.py` of facebookresearch/dino.
    """
    return ViewPolicy(
        size,
        crop_scale=crop_scale,
        interpolation="bicubic",
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        gray_p=0.2,
        blur_p=blur_p,
        blur_kernel=23,
        solarize_p=solarize_p,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def mae(size: int) -> ViewPolicy:
    """Makes the view of the masked autoencoder: a crop and a flip, no change of colours.

    Args:
      size: Side of the square view in pixels.

    Returns:
      The policy. It normalises by ImageNet's statistics.

    Reference:
      He et al., Masked Autoencoders Are Scalable Vision Learners, 2022, appendix A.1.
    """
    return ViewPolicy(
        size,
        crop_scale=(0.2, 1.0),
        interpolation="bicubic",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def simmim(size: int) -> ViewPolicy:
    """Makes the view of SimMIM: a crop and a flip, no change of colours.

    Args:
      size: Side of the square view in pixels.

    Returns:
      The policy. It normalises by ImageNet's statistics.

    Reference:
      Xie et al., SimMIM: a Simple Framework for Masked Image Modeling, 2022, section 4.1;
      `data_simmim.py` of microsoft/SimMIM, whose crops are resized bilinearly.
    """
    return ViewPolicy(
        size,
        crop_scale=(0.67, 1.0),
        interpolation="bilinear",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def ijepa(size: int) -> ViewPolicy:
    """Makes the view of I-JEPA: a crop, and nothing else.

    Args:
      size: Side of the square view in pixels.

    Returns:
      The policy. It normalises by ImageNet's statistics.

    Reference:
      Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive
      Architecture, 2023; `configs/in1k_vith14_ep300.yaml` of facebookresearch/ijepa.
    """
    return ViewPolicy(
        size,
        crop_scale=(0.3, 1.0),
        flip_p=0.0,
        interpolation="bilinear",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def lejepa(size: int, crop_scale: tuple[float, float]) -> ViewPolicy:
    """Makes a crop of LeJEPA, whose large and small crops differ by size and scale alone.

    Args:
      size: Side of the square crop in pixels.
      crop_scale: Range of the crop's area as a fraction of the image's.

    Returns:
      The policy. It normalises by ImageNet's statistics.

    Reference:
      Balestriero and LeCun, LeJEPA, 2025; README.md of rbalestr-lab/lejepa, whose crops are resized
      bilinearly.
    """
    crop = dino(size, crop_scale, blur_p=0.5, solarize_p=0.2)
    return dataclasses.replace(crop, interpolation="bilinear")
