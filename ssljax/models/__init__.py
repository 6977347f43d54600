"""Networks: encoders, heads, generators, discriminators, and the tables of them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn

from ssljax.models.dense.class_maps import (
    ASPP,
    SEGMENTATION_HEAD,
    SEGMENTATION_HEADS,
    ContextHead,
    LinearHead,
    NormalizedLinearHead,
)
from ssljax.models.dense.decoder import DECODERS, Decoder, build_decoder
from ssljax.models.dense.fcos import (
    DETECTION_HEAD,
    DETECTION_HEADS,
    DetectionNet,
    FCOSHead,
    Told,
    told_by,
)
from ssljax.models.dense.pyramid import PYRAMID, PYRAMIDS, FeaturePyramid
from ssljax.models.dense.segmentation import PIXELS, SegmentationNet, resized
from ssljax.models.dense.unet import UNet
from ssljax.models.dense.upscaler import Upscaler
from ssljax.models.encoders.alexnet import AlexNet
from ssljax.models.encoders.colorization import ColorizationVGG
from ssljax.models.encoders.context_encoder import ContextEncoderNet
from ssljax.models.encoders.dilated_vgg import DilatedVGG
from ssljax.models.encoders.exemplar_cnn import ExemplarCNN
from ssljax.models.encoders.halves import SplitEncoder, half_width
from ssljax.models.encoders.mae import MaskedAutoencoder
from ssljax.models.encoders.masked_image_model import MaskedImageModel
from ssljax.models.encoders.mlp import MLP
from ssljax.models.encoders.nin import NetworkInNetwork
from ssljax.models.encoders.resnet import BasicBlock, Bottleneck, ResNet
from ssljax.models.encoders.small import SmallConvNet
from ssljax.models.encoders.srresnet import SRResNet
from ssljax.models.encoders.vgg import CONVOLUTIONS_16, VGG
from ssljax.models.encoders.vit import VisionTransformer
from ssljax.models.gan.autoencoder import AutoencoderDiscriminator, MLPAutoencoder, MLPGenerator
from ssljax.models.gan.dcgan import DCGANDiscriminator, DCGANGenerator
from ssljax.models.gan.networks import (
    DISCRIMINATOR,
    DISCRIMINATORS,
    GENERATOR,
    GENERATORS,
    JOINT_DISCRIMINATOR,
    build_discriminator,
    build_generator,
)
from ssljax.models.gan.progan import ProGANDiscriminator, ProGANGenerator
from ssljax.models.gan.sngan import ResNetDiscriminator, ResNetGenerator
from ssljax.models.heads.classifier import Classifier
from ssljax.models.heads.code import GaussianEncoder, InferenceEncoder
from ssljax.models.heads.dense import DenseHead
from ssljax.models.heads.dino import DinoHead
from ssljax.models.heads.encoder_with_heads import EncoderWithHeads
from ssljax.models.heads.latent_predictor import LatentPredictor
from ssljax.models.heads.masked_context import MaskedContext
from ssljax.models.heads.masked_encoder import MaskedEncoderWithHeads
from ssljax.models.heads.projection import ProjectionHead
from ssljax.models.heads.space_time import SpaceTimeHead
from ssljax.models.heads.tiles import FullyConnected, TileEmbedding
from ssljax.models.heads.words import CosineWords, GeneratedWords
from ssljax.models.layers.conditional_norm import ConditionalBatchNorm, SelfModulatedBatchNorm
from ssljax.models.layers.norm import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    NoNorm,
    NormFactory,
)
from ssljax.models.layers.patches import patch_grid, patchify, unpatchify
from ssljax.models.layers.spectral_norm import DCGAN_INIT
from ssljax.models.maps import last_map, map_names
from ssljax.models.registry import build, options_of
from ssljax.models.roles import Role
from ssljax.models.translation.discogan import DiscoGANDiscriminator, DiscoGANTranslator
from ssljax.models.translation.patch import PATCH_DISCRIMINATOR, PatchDiscriminator
from ssljax.models.translation.residual import ResidualTranslator
from ssljax.models.translation.unet import UNetTranslator

__all__ = [
    "ASPP",
    "DCGAN_INIT",
    "DECODERS",
    "DETECTION_HEAD",
    "DETECTION_HEADS",
    "DISCRIMINATOR",
    "DISCRIMINATORS",
    "ENCODER",
    "ENCODERS",
    "GENERATOR",
    "GENERATORS",
    "JOINT_DISCRIMINATOR",
    "MLP",
    "PATCH_DISCRIMINATOR",
    "PIXELS",
    "PYRAMID",
    "PYRAMIDS",
    "SEGMENTATION_HEAD",
    "SEGMENTATION_HEADS",
    "VGG",
    "AlexNet",
    "AutoencoderDiscriminator",
    "BatchNorm",
    "Classifier",
    "ColorizationVGG",
    "ConditionalBatchNorm",
    "ContextEncoderNet",
    "ContextHead",
    "CosineWords",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Decoder",
    "DenseHead",
    "DetectionNet",
    "DilatedVGG",
    "DinoHead",
    "DiscoGANDiscriminator",
    "DiscoGANTranslator",
    "EncoderWithHeads",
    "ExemplarCNN",
    "FCOSHead",
    "FeaturePyramid",
    "FullyConnected",
    "GaussianEncoder",
    "GeneratedWords",
    "GroupNorm",
    "InferenceEncoder",
    "InstanceNorm",
    "LatentPredictor",
    "LayerNorm",
    "LinearHead",
    "MLPAutoencoder",
    "MLPGenerator",
    "MaskedAutoencoder",
    "MaskedContext",
    "MaskedEncoderWithHeads",
    "MaskedImageModel",
    "NetworkInNetwork",
    "NoNorm",
    "NormFactory",
    "NormalizedLinearHead",
    "PatchDiscriminator",
    "ProGANDiscriminator",
    "ProGANGenerator",
    "ProjectionHead",
    "ResNet",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "ResidualTranslator",
    "Role",
    "SRResNet",
    "SegmentationNet",
    "SelfModulatedBatchNorm",
    "SmallConvNet",
    "SpaceTimeHead",
    "SplitEncoder",
    "TileEmbedding",
    "Told",
    "UNet",
    "UNetTranslator",
    "Upscaler",
    "VisionTransformer",
    "build_decoder",
    "build_discriminator",
    "build_encoder",
    "build_generator",
    "encoder_from_config",
    "half_width",
    "last_map",
    "map_names",
    "options_of",
    "patch_grid",
    "patchify",
    "resized",
    "told_by",
    "unpatchify",
    "vision_transformer",
]

ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": partial(ResNet, (2, 2, 2, 2), BasicBlock),
    "resnet34": partial(ResNet, (3, 4, 6, 3), BasicBlock),
    "resnet50": partial(ResNet, (3, 4, 6, 3), Bottleneck),
    "resnet101": partial(ResNet, (3, 4, 23, 3), Bottleneck),
    "resnet152": partial(ResNet, (3, 8, 36, 3), Bottleneck),
    "resnet50x2": partial(ResNet, (3, 4, 6, 3), Bottleneck, 2),
    "small": SmallConvNet,
    "exemplar_cnn": ExemplarCNN,
    "context_encoder_dcgan": ContextEncoderNet,
    "srresnet": SRResNet,
    "vgg16": partial(VGG, convolutions=CONVOLUTIONS_16),
    "vgg16_bn": partial(VGG, convolutions=CONVOLUTIONS_16, batch_norm=True),
    "vgg19": VGG,
    "vgg19_bn": partial(VGG, batch_norm=True),
    "dilated_vgg": DilatedVGG,
    "alexnet": AlexNet,
    "colorization_vgg": ColorizationVGG,
    "nin": NetworkInNetwork,
    "mlp": MLP,
    "vit_tiny": partial(VisionTransformer, dim=192, heads=3),
    "vit_small": partial(VisionTransformer, dim=384, heads=6),
    "vit_base": partial(VisionTransformer, dim=768, heads=12),
    "vit_large": partial(VisionTransformer, dim=1024, depth=24, heads=16),
    "vit_huge": partial(VisionTransformer, dim=1280, depth=32, heads=16, patch_size=14),
    "vit_mini": partial(VisionTransformer, dim=64, depth=4, heads=2, patch_size=4),
}

ENCODER = Role(
    kind="encoder",
    networks=ENCODERS,
    options=dict(
        name="resnet18",
        width=1,  # Multiplies the channels of a ResNet, or of the network of colorization.
        stem="cifar",  # Of a ResNet: "cifar" (3x3, no pooling) or "imagenet".
        stem_stride=0,  # Of AlexNet's and the small network's first convolution.
        zero_init_residual=False,
        widths=(),  # Of the small network's stages, and of the layers of AlexNet and NIN.
        convs_per_stage=1,  # Of the small network.
        patch_size=0,  # Of a ViT, in pixels.
        heads=0,  # Of a ViT.
        positions="",  # Of a ViT: "learned" or "sincos".
        initializer="",  # Of a ViT: "normal" or "xavier".
        freeze_patch_embedding=False,
        class_token=True,  # Whether a ViT has one.
        registers=0,  # Of a ViT: tokens beside those of the class and the patches.
        layer_scale=0.0,  # Where the factors of what a ViT's blocks add start; 0: there are none.
        pool="",  # What the features of a ViT are: the "class" token or the "mean".
        drop_path=0.0,  # Probability that a ViT's last block is left out.
        drop_path_uniform=False,  # Whether that is so of all its blocks.
        dtype="float32",  # Compute type; parameters and statistics are float32.
    ),
)
"""An option that is empty or 0 stands for the encoder's own."""


def build_encoder(name: str, **options: Any) -> nn.Module:
    """Makes the encoder of that name.

    An encoder is called as `encoder(images, train)` and returns a dictionary of named outputs:
    `features` (batch, dim) and, layer by layer, activations (batch, height, width, channels):
    `stem`, `stage1`, ... of most convolutional networks, `conv1`, ... of AlexNet, `block1`, ...
    of a transformer or a network in network.

    Args:
      name: A key of `ENCODERS`.
      **options: Attributes of the encoder, such as `stem="cifar"`.

    Returns:
      The module, without parameters.

    Raises:
      ValueError: If the name or an option is unknown.
    """
    return build("encoder", ENCODERS, name, options)


def encoder_from_config(config: Any, **options: Any) -> nn.Module:
    """Makes the encoder that `config.model.encoder` describes; see `Role.from_config`.

    Args:
      config: A `ConfigDict` with `name` and the options of all encoders.
      **options: Attributes that the method sets, such as `norm`; those that this encoder does not
        have are ignored.

    Returns:
      The module, without parameters.

    Raises:
      ValueError: If the name is unknown, or the config sets what the method does.
    """
    known = options_of(ENCODERS[config.name]) if config.name in ENCODERS else []
    return ENCODER.from_config(config, **{name: options[name] for name in options if name in known})


def vision_transformer(method: str, config: Any) -> VisionTransformer:
    """Makes the encoder of a method that needs patches.

    Args:
      method: Name of the method, for the message.
      config: As for `encoder_from_config`.

    Returns:
      The module, without parameters.

    Raises:
      ValueError: If the encoder is no vision transformer.
    """
    encoder = encoder_from_config(config)
    if not isinstance(encoder, VisionTransformer):
        raise ValueError(
            f"method.name={method!r} needs a vision transformer, and model.encoder.name="
            f"{config.name!r} is none: choose a ViT."
        )
    return encoder
