"""The configs for ImageNet and CIFAR-10 have the numbers that the authors publish."""

import functools
import math
import operator
import pathlib
import re

import jax
import jax.numpy as jnp
import pytest
from ml_collections.config_flags import config_flags

from ssljax import methods
from ssljax.methods import pretext, reconstruction
from ssljax.methods.contract import Task
from ssljax.run.step import init_state

ROOT = pathlib.Path(__file__).parents[2] / "configs"
RESNET50 = {"model.encoder.name": "resnet50", "model.encoder.stem": "imagenet"}
NESTEROV = {
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.9,
    "optimizer.nesterov": True,
    "optimizer.weight_decay": 5e-4,
    "optimizer.schedule": "step",
    "optimizer.exclude": (),
}
# By config: the learning rate is that of the whole batch, as it is scaled.
PUBLISHED = {
    "simclr/imagenet.py": RESNET50
    | {
        "batch_size": 4096,
        "epochs": 1000.0,
        "optimizer.name": "lars",
        "optimizer.classic_momentum": True,
        "optimizer.weight_decay": 1e-6,
        "optimizer.warmup_epochs": 10.0,
        "method.temperature": 0.1,
        "rate": 4.8,
    },
    "simclr/cifar10.py": {
        "batch_size": 512,
        "epochs": 1000.0,
        "method.temperature": 0.5,
        "method.view.blur_p": 0.0,
        "model.encoder.name": "resnet18",
        "model.encoder.stem": "cifar",
        "rate": 2.0,
    },
    "colorization/imagenet.py": {
        "batch_size": 40,
        "steps": 450_000,
        "data.image_size": 256,
        "data.crop": "device",
        "method.places": 44,
        "method.grid": 10.0,
        "method.neighbors": 10,
        "method.sigma": 5.0,
        "method.uniform": 0.5,
        "method.temperature": 0.38,
        "method.head_dim": 256,
        "method.view.size": 176,
        "method.view.crop_scale": ((176 / 256) ** 2,) * 2,
        "method.view.crop_ratio": (1.0, 1.0),
        "model.encoder.name": "colorization_vgg",
        "optimizer.name": "adam",
        "optimizer.b1": 0.9,
        "optimizer.b2": 0.99,
        "optimizer.weight_decay": 1e-3,
        "optimizer.step_fractions": (0.5,),  # After 225,000.
        "optimizer.step_factor": 0.1,
        "rate": 3e-5,
    },
    "split_brain/imagenet.py": {  # Batch, length and optimizer are those of colorization.
        "batch_size": 40,
        "steps": 450_000,
        "data.image_size": 256,
        "data.crop": "device",
        "method.view.size": 207,
        "method.grid": 10.0,
        "optimizer.name": "adam",
        "optimizer.b1": 0.9,
        "optimizer.b2": 0.99,
        "optimizer.weight_decay": 1e-3,
        "optimizer.step_fractions": (0.5,),
        "optimizer.step_factor": 0.1,
        "rate": 3e-5,
        "method.loss": "classification",
        "method.places": 12,
        "method.lightness_bins": 100,
        "model.encoder.name": "alexnet",
    },
    "moco/imagenet.py": RESNET50
    | {
        "batch_size": 256,
        "epochs": 200.0,
        "method.momentum": 0.999,
        "method.queue_size": 65536,
        "method.temperature": 0.2,
        "method.projector_layers": 2,
        "method.projector_dim": 128,
        "method.bn_groups": 8,
        "optimizer.name": "sgd",
        "optimizer.weight_decay": 1e-4,
        "rate": 0.03,
    },
    "moco/imagenet.py:v1": {
        "method.temperature": 0.07,
        "method.projector_layers": 1,
        "method.momentum": 0.999,
        "method.queue_size": 65536,
        "method.view.jitter_p": 1.0,
        "method.view.blur_p": 0.0,
        "optimizer.schedule": "step",
        "optimizer.step_epochs": (120.0, 160.0),
        "rate": 0.03,
    },
    "moco/cifar10.py": {
        "batch_size": 512,
        "epochs": 200.0,
        "method.momentum": 0.99,
        "method.temperature": 0.1,
        "method.queue_size": 4096,
        "method.projector_layers": 1,
        "method.symmetric": True,
        "optimizer.weight_decay": 5e-4,
        "rate": 0.06,
    },
    "moco_v3/imagenet.py": RESNET50
    | {
        "batch_size": 4096,
        "epochs": 100.0,
        "method.temperature": 1.0,
        "method.momentum": 0.99,
        "method.projector_layers": 2,
        "method.predictor_last_bn": False,
        "method.view1.crop_scale": (0.2, 1.0),
        "optimizer.name": "lars",
        "optimizer.weight_decay": 1e-6,
        "optimizer.classic_momentum": False,
        "rate": 9.6,
    },
    "moco_v3/imagenet.py:vit_base": {
        "model.encoder.name": "vit_base",
        "model.encoder.patch_size": 16,
        "model.encoder.heads": 12,
        "model.encoder.positions": "sincos",
        "model.encoder.freeze_patch_embedding": True,
        "epochs": 300.0,
        "method.temperature": 0.2,
        "method.projector_layers": 3,
        "method.predictor_last_bn": True,
        "method.view1.crop_scale": (0.08, 1.0),
        "method.view2.crop_scale": (0.08, 1.0),
        "optimizer.name": "adamw",
        "optimizer.weight_decay": 0.1,
        "optimizer.exclude": ("patch_embedding",),
        "optimizer.warmup_epochs": 40.0,
        "rate": 2.4e-3,
    },
    "byol/imagenet.py": RESNET50
    | {
        "batch_size": 4096,
        "model.encoder.zero_init_residual": True,
        "method.momentum": 0.996,
        "method.projector_hidden_dim": 4096,
        "method.projector_dim": 256,
        "method.view1.brightness_mode": "additive",
        "method.view1.contrast_mode": "tensorflow",
        "method.view1.blur_padding": "zeros",
        "optimizer.name": "lars",
        "optimizer.classic_momentum": False,
        "optimizer.weight_decay": 1.5e-6,
        "optimizer.warmup_epochs": 10.0,
        "rate": 3.2,
    },
    "byol/imagenet.py:300": {
        "epochs": 300.0,
        "method.momentum": 0.99,
        "optimizer.weight_decay": 1e-6,
        "rate": 4.8,
    },
    "byol/imagenet.py:100": {
        "epochs": 100.0,
        "method.momentum": 0.99,
        "optimizer.weight_decay": 1e-6,
        "rate": 7.2,
    },
    "byol/imagenet.py:40": {
        "epochs": 40.0,
        "method.momentum": 0.97,
        "optimizer.weight_decay": 1e-6,
        "rate": 7.2,
    },
    "simsiam/imagenet.py": RESNET50
    | {
        "batch_size": 512,
        "epochs": 100.0,
        "model.encoder.zero_init_residual": True,
        "method.projector_layers": 3,
        "method.projector_dim": 2048,
        "method.predictor_hidden_dim": 512,
        "method.predictor_constant_rate": True,
        "method.predictor_rate": 1.0,
        "optimizer.name": "sgd",
        "optimizer.weight_decay": 1e-4,
        "rate": 0.1,
    },
    "simsiam/cifar10.py": {
        "model.encoder.zero_init_residual": True,
        "method.projector_layers": 2,
        "method.view.blur_p": 0.0,
        "optimizer.weight_decay": 5e-4,
        "rate": 0.06,
    },
    "swav/imagenet.py": RESNET50
    | {
        "epochs": 800.0,
        "optimizer.end_value": 0.0048,
        "optimizer.warmup_epochs": 10.0,
        "optimizer.weight_decay": 1e-6,
        "method.freeze_prototypes_epochs": 1.0,
        "rate": 4.8,
    },
    "swav/imagenet.py:2x224": {
        "epochs": 400.0,
        "method.local_crops": 0,
        "method.view.crop_scale": (0.08, 1.0),
        "rate": 4.8,
    },
    "swav/imagenet.py:batch256": {
        "batch_size": 256,
        "epochs": 400.0,
        "method.queue_size": 3840,
        "optimizer.warmup_epochs": 0.0,
        "optimizer.end_value": 0.0006,
        "rate": 0.6,
    },
    "deepcluster_v2/imagenet.py": RESNET50
    | {
        "batch_size": 4096,
        "epochs": 801.0,  # One fills the memory, and is one more of the warm-up's.
        "optimizer.warmup_epochs": 11.0,
        "optimizer.end_value": 0.0048,
        "optimizer.weight_decay": 1e-6,
        "method.prototypes": 3000,
        "method.clusterings": 3,
        "rate": 4.8,
    },
    "deepcluster_v2/imagenet.py:2x224": {
        "epochs": 401.0,
        "method.local_crops": 0,
        "method.view.crop_scale": (0.08, 1.0),
    },
    "dino/imagenet.py": {
        "batch_size": 512,
        "epochs": 100.0,
        "model.encoder.name": "vit_small",
        "model.encoder.patch_size": 16,
        "method.momentum": 0.996,
        "method.teacher_temperature": 0.04,
        "method.clip_each": 3.0,
        "method.weight_decay_end": 0.4,
        "method.out_dim": 65536,
        "method.local_crops": 8,
        "optimizer.weight_decay": 0.04,
        "optimizer.end_value": 1e-6,
        "rate": 1e-3,
    },
    "barlow_twins/imagenet.py": RESNET50
    | {
        "batch_size": 2048,
        "epochs": 1000.0,
        "method.lambd": 0.0051,
        "method.projector_hidden_dim": 8192,
        "method.projector_dim": 8192,
        "method.projector_layers": 3,
        "method.bias_rate": 0.024,
        "optimizer.weight_decay": 1e-6,
        "optimizer.end_value": 0.0016,
        "rate": 1.6,
    },
    "vicreg/imagenet.py": RESNET50
    | {
        "batch_size": 2048,
        "epochs": 1000.0,
        "method.invariance": 25.0,
        "method.variance": 25.0,
        "method.covariance": 1.0,
        "method.projector_dim": 8192,
        "optimizer.weight_decay": 1e-6,
        "rate": 1.6,
    },
    "nnclr/imagenet.py": RESNET50
    | {
        "batch_size": 4096,
        "epochs": 1000.0,
        "method.temperature": 0.1,
        "method.queue_size": 98304,
        "method.projector_dim": 256,
        "method.predictor_hidden_dim": 4096,
        "optimizer.weight_decay": 1e-6,
        "rate": 4.8,
    },
    "context_encoder/imagenet.py": {
        "model.encoder.name": "context_encoder_dcgan",
        "batch_size": 64,
        "epochs": 500.0,
        "method.view.size": 128,
        "method.overlap": 4,
        "method.overlap_weight": 10.0,
        "method.bottleneck": 4000,
        "method.decoder_widths": (512, 256, 128, 64),
        "method.adversarial_weight": 0.001,
        "method.discriminator_rate": 0.1,
        "model.discriminator.width": 0.5,
        "model.discriminator.kernel": 4,
        "optimizer.name": "adam",
        "optimizer.b1": 0.5,
        "rate": 2e-3,
    },
    "context_encoder/imagenet.py:random": {
        "model.encoder.name": "context_encoder_dcgan",
        "batch_size": 64,
        "data.image_size": 350,
        "method.view.size": 128,
        "method.bottleneck": 4000,
        "method.adversarial_weight": 0.001,
        "method.discriminator_rate": 0.1,
        "model.discriminator.kernel": 4,
        "optimizer.name": "adam",
        "optimizer.b1": 0.5,
        "rate": 2e-3,
        "method.region": "random",
        "method.region_resolution": 0.06,
        "method.overlap": 0,
        "method.decoder_widths": (512, 256, 128, 64, 64),
    },
    "super_resolution/imagenet.py": {
        "model.encoder.name": "srresnet",
        "batch_size": 16,
        "steps": 1_000_000,
        "method.view.size": 96,
        "method.factor": 4,
        "method.border": 4,
        "optimizer.name": "adam",
        "rate": 1e-4,
    },
    "super_resolution/imagenet.py:srgan": {
        "steps": 200_000,
        "method.adversarial_weight": 1e-3,
        "method.discriminator_rate": 1.0,
        "method.content": "features",
        "method.content_scale": 1 / 12.75,
        "model.discriminator.name": "srgan",
        "optimizer.step_fractions": (0.5,),
        "rate": 1e-4,
    },
    "bag_of_words/imagenet.py": RESNET50
    | {
        "batch_size": 256,
        "epochs": 200.0,
        "method.levels": 2,
        "method.queue_size": 8192,
        "method.inverse_temperature": 15.0,
        "method.scale": 8.0,
        "method.momentum": 0.99,
        "method.crops": 2,
        "method.crop_view.size": 160,
        "method.crop_view.crop_scale": (0.08, 0.6),
        "method.local_crops": 5,
        "method.local_view.size": 96,
        "optimizer.warmup_epochs": 10.0,
        "optimizer.weight_decay": 1e-4,
        "optimizer.end_value": 3e-5,
        "rate": 0.03,
    },
    "cpc/imagenet.py": {
        "method.view.size": 256,
        "method.patch_size": 64,
        "method.patch_stride": 32,
        "method.skip_rows": 2,
        "method.predict_rows": 3,
        "method.directions": 4,
        "method.context_blocks": 5,
        "method.context_width": 256,
        "method.target_dim": 64,
        "method.prediction_scale": 0.1,
        "method.operations": 2,
        "method.gray_p": 0.25,
    },
    "exemplar/imagenet.py": {
        "batch_size": 64,
        "epochs": 35.0,
        "method.form": "triplet",
        "method.crops": 8,
        "method.margin": 0.5,
        "method.embedding_dim": 1000,
        "method.view.gray_p": 0.66,
        "optimizer.step_epochs": (15.0, 25.0),
        "optimizer.warmup_epochs": 5.0,
        "optimizer.weight_decay": 1e-4,
        "rate": 0.025,
    },
    "exemplar/stl10.py": {
        "batch_size": 128,
        "data.split": "unlabelled[:16000]",
        "method.form": "classes",
        "method.patch.scale": (0.7, 1.4),
        "method.patch.shift": 0.2,
        "method.patch.degrees": 20.0,
        "method.patch.pca": (0.5, 2.0),
        "method.patch.power": (0.25, 4.0),
        "method.patch.factor": (0.7, 1.4),
        "method.patch.offset": 0.1,
        "method.patch.hue": 0.1,
        "model.encoder.name": "exemplar_cnn",
        "rate": 0.01,
    },
    "mae/imagenet.py": {
        "batch_size": 4096,
        "epochs": 1600.0,
        "model.encoder.name": "vit_base",
        "method.mask_ratio": 0.75,
        "method.normalize_pixels": True,
        "method.decoder_dim": 512,
        "method.decoder_depth": 8,
        "optimizer.b2": 0.95,
        "optimizer.weight_decay": 0.05,
        "optimizer.warmup_epochs": 40.0,
        "rate": 2.4e-3,
    },
    "jigsaw/imagenet.py": {
        "batch_size": 256,
        "steps": 350000,
        "model.encoder.name": "alexnet",
        "model.encoder.stem_stride": 2,
        "method.crop": 255,
        "method.tile": 64,
        "method.permutations": 100,
        "method.channel_shift": 2,
        "method.gray_p": 0.5,
        "method.projection_p": 0.5,
        "method.embedding_dim": 1024,
        "method.hidden_dim": 4096,
        "method.dropout": 0.5,
        "optimizer.name": "sgd",
        "optimizer.momentum": 0.9,
        "optimizer.weight_decay": 5e-4,
        "rate": 0.01,
    },
    "jigsaw/imagenet.py:kolesnikov": {
        "batch_size": 128,
        "epochs": 35.0,
        "model.encoder.name": "resnet50x2",
        "method.size": 292,
        "method.crop": 255,
        "method.gray_p": 0.66,
        "method.projection_p": 0.0,
        "method.puzzles": 8,
        "method.shared": True,
        "method.embedding_dim": 1000,
        "method.hidden_dim": 4096,
        "method.probe": "tiles",
        "method.probe_size": 224,
        "optimizer.step_epochs": (15.0, 25.0),
        "optimizer.warmup_epochs": 5.0,
        "rate": 0.05,
    },
    "jigsaw/imagenet.py:goyal": {
        "batch_size": 256,
        "epochs": 105.0,
        "model.encoder.name": "resnet50",
        "method.permutations": 2000,
        "method.normalization": "view",
        "method.embedding_dim": 1000,
        "method.embedding": "bn_relu",
        "method.hidden_dim": 0,
        "method.flip_p": 0.5,
        "method.gray_p": 0.66,
        "optimizer.weight_decay": 1e-4,
        "optimizer.step_epochs": (30.0, 60.0, 90.0, 100.0),
        "rate": 0.1,
    },
    "context_prediction/imagenet.py": {
        "model.encoder.name": "alexnet",
        "model.encoder.stem_stride": 0,
        "method.patch": 96,
        "method.gap": 48,
        "method.jitter": 7,
        "method.grids": 4,
        "method.area": (150000.0, 450000.0),
        "method.color": "drop",
        "method.rms": 50.0,
        "method.resample_least": 10,
        "method.embedding_dim": 4096,
        "method.hidden_dim": 4096,
        "method.reduction": "sum",
        "optimizer.name": "sgd",
        "optimizer.momentum": 0.0,
        "optimizer.weight_decay": 0.0,
        "optimizer.schedule": "constant",
        "rate": 1e-5,
    },
    "rotation/cifar10.py": NESTEROV
    | {
        "batch_size": 128,  # 512 copies, for which the rate is not scaled up.
        "epochs": 200.0,
        "model.encoder.name": "nin",
        "optimizer.step_epochs": (60.0, 120.0, 160.0),
        "optimizer.step_factor": 0.2,
        "method.view.crop_padding": 4,
        "method.view.mean": (125.3 / 255, 123.0 / 255, 113.9 / 255),
        "rate": 0.1,
    },
    "rotation/imagenet.py": NESTEROV
    | {
        "batch_size": 192,
        "epochs": 50.0,
        "model.encoder.name": "alexnet",
        "model.encoder.fc_widths": (4096, 4096),
        "optimizer.step_epochs": (15.0, 30.0, 45.0),
        "optimizer.step_factor": 0.1,
        "rate": 0.01,
    },
    "relative_transformation/cifar10.py": NESTEROV
    | {
        "batch_size": 512,
        "epochs": 1500.0,
        "model.encoder.name": "nin",
        "optimizer.step_epochs": (240.0, 480.0, 640.0, 800.0),
        "optimizer.step_factor": 0.2,
        "method.transformation": "projective",
        "method.projective.corner_shift": 4 / 32,
        "method.projective.scale": (0.8, 1.2),
        "method.fill": 128 / 255,
        "method.border": "constant",
        "method.blur": (),
        "rate": 0.1,
    },
    "relative_transformation/cifar10.py:affine": {
        "method.transformation": "affine",
        "method.affine.degrees": 180.0,
        "method.affine.translate": 0.2,
        "method.affine.scale": (0.7, 1.3),
        "method.affine.shear": 30.0,
    },
    "relative_transformation/imagenet.py": NESTEROV
    | {
        "batch_size": 768,
        "epochs": 200.0,
        "model.encoder.name": "alexnet",
        "optimizer.step_epochs": (100.0, 150.0),
        "optimizer.step_factor": 0.1,
        "method.projective.corner_shift": 28 / 224,
        "rate": 0.01,
    },
    "counting/imagenet.py": {
        "batch_size": 256,
        "epochs": 250.0,
        "model.encoder.name": "alexnet",
        "optimizer.name": "adam",
        "optimizer.weight_decay": 0.0,
        "method.units": 1000,
        "method.margin": 10.0,
        "method.filters": ("nearest", "area", "bilinear", "bicubic", "lanczos"),
        "rate": 1e-4,
    },
}
CIFAR10 = {
    "batch_size": 128,
    "epochs": 200.0,
    "model.encoder.name": "resnet18",
    "model.encoder.stem": "cifar",
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.9,
    "optimizer.schedule": "cosine",
    "optimizer.warmup_epochs": 0.0,
    "rate": 0.06,
    "decay": 5e-4,
}
# The optimizer of lightly's benchmark, for the methods that are not in it too (and for SwAV, which
# has Adam there), and how many times the gradient of its loss ours has.
FACTORS = {
    "barlow_twins": 1.0,
    "byol": 4.0,
    "dcl": 2.0,
    "deepcluster_v2": 1.0,
    "dino": 1.0,
    "moco_v3": 1.0,
    "nnclr": 1.0,
    "simsiam": 1.0,
    "swav": 1.0,
    "vicreg": 25.0,
}


@functools.cache
def load(path):
    return config_flags.ConfigFileFlagParser("config").parse(str(ROOT / path))


def found(path, key):
    config = load(path)
    if key == "decay":
        return config.optimizer.weight_decay
    if key != "rate":
        return operator.attrgetter(key)(config)
    factor = {"none": 1.0, "linear": config.batch_size / 256, "sqrt": math.sqrt(config.batch_size)}
    return config.optimizer.learning_rate * factor[config.optimizer.scaling]


@pytest.mark.parametrize(
    ("path", "key"), [(path, key) for path, keys in PUBLISHED.items() for key in keys]
)
def test_the_authors_number(path, key):
    expected = PUBLISHED[path][key]
    if isinstance(expected, float):
        expected = pytest.approx(expected)
    assert found(path, key) == expected


@pytest.mark.parametrize("name", FACTORS)
def test_cifar10_has_one_optimizer_whatever_the_scale_of_the_loss(name):
    path = f"{name}/cifar10.py"
    expected = dict(CIFAR10)
    expected["rate"] /= FACTORS[name]
    expected["decay"] *= FACTORS[name]
    if name == "deepcluster_v2":
        expected["epochs"] += 1  # That which fills the memory.
    assert {key: found(path, key) for key in expected} == pytest.approx(expected)


CROPS = {"dino": (0.4, 1.0), "simsiam": (0.2, 1.0), "swav": (0.14, 1.0)}


@pytest.mark.parametrize("name", [*FACTORS, "moco"])
def test_views_of_cifar10_are_simclrs_without_blur(name):
    method = load(f"{name}/cifar10.py").method
    views = {key: method[key] for key in method if key.startswith("view")}
    assert views
    for key, view in views.items():
        assert view.crop_scale == CROPS.get(name, (0.08, 1.0))
        saturation = 0.2 if name == "dino" else 0.4
        assert (view.brightness, view.contrast, view.hue) == (0.4, 0.4, 0.1)
        assert view.saturation == saturation
        assert (view.blur_p, view.gray_p, view.jitter_p) == (0.0, 0.2, 0.8)
        assert view.solarize_p == (0.2 if (name, key) == ("dino", "view2") else 0.0)
        assert (view.interpolation, view.brightness_mode) == ("bilinear", "multiplicative")
        assert view.contrast_mode == "torchvision"
        assert view.mean == ((0.4914, 0.4822, 0.4465) if name == "moco" else (0.485, 0.456, 0.406))


def variants(pattern):
    """All configs of some files, with each of their variants."""
    found = []
    for file in sorted(ROOT.glob(pattern)):
        named = re.search(r"Literal\[(.*?)\]", file.read_text().split("def get_config")[1])
        path = str(file.relative_to(ROOT))
        found += (
            [f"{path}:{name}" for name in re.findall(r'"(.*?)"', named[1])] if named else [path]
        )
    return [path.removesuffix(":") for path in found]


@pytest.mark.parametrize("path", variants("*/imagenet.py"))
def test_imagenet_is_tested_on_images_that_have_labels(path):
    config = load(path)
    assert config.data.name.startswith("imagenet2012")
    assert config.evals.test_split == "validation"


NEEDS_A_RUN = "super_resolution/imagenet.py:srgan"


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in variants("*/imagenet.py") + variants("*/stl10.py")
        if path.split("/")[0] in pretext.REGISTRY | reconstruction.REGISTRY and path != NEEDS_A_RUN
    ],
)
def test_evaluations_can_show_whole_images_to_the_network(path):
    config = load(path)
    shape = (config.data.image_size, config.data.image_size, config.data.channels)
    task = Task(shape, config.batch_size, 1000, 100.0, num_classes=10, num_images=2_000_000)
    method = methods.build(config, task)

    def features(images):
        return method.features(init_state(method, jax.random.key(0)), images)

    found = jax.eval_shape(features, jax.ShapeDtypeStruct((2, *shape), jnp.uint8))
    assert found.keys() >= {"features", *config.evals.stages}
    assert {x.shape[0] for x in found.values()} == {2}
