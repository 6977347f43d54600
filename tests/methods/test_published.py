"""The configs for ImageNet and CIFAR-10 have the numbers that the authors publish."""

import pytest
from published import check, found, load, numbers, variants

RESNET50 = {"model.encoder.name": "resnet50", "model.encoder.stem": "imagenet"}
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


@pytest.mark.parametrize(("path", "key"), numbers(PUBLISHED))
def test_the_authors_number(path, key):
    check(PUBLISHED, path, key)


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


@pytest.mark.parametrize("path", variants("*/imagenet.py"))
def test_imagenet_is_tested_on_images_that_have_labels(path):
    config = load(path)
    assert config.data.name.startswith("imagenet2012")
    assert config.evals.test_split == "validation"
