"""Configs of pretext tasks and reconstruction: the authors' numbers, and what evaluations read."""

import jax
import jax.numpy as jnp
import pytest
from published import check, load, numbers, variants

from ssljax import methods
from ssljax.methods import pretext, reconstruction
from ssljax.methods.contract import Task
from ssljax.run.step import init_state

RESNET50 = {"model.encoder.name": "resnet50", "model.encoder.stem": "imagenet"}
NESTEROV = {
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.9,
    "optimizer.nesterov": True,
    "optimizer.weight_decay": 5e-4,
    "optimizer.schedule": "step",
    "optimizer.exclude": (),
}
# As in `test_published`.
PUBLISHED = {
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
    "motion_segmentation/frames.py": {
        "method.places": 56,
        "method.view.size": 227,
        "model.encoder.name": "alexnet",
        "model.encoder.fc_widths": (4096, 4096),
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
        "method.center": 224 / 256,
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


@pytest.mark.parametrize(("path", "key"), numbers(PUBLISHED))
def test_the_authors_number(path, key):
    check(PUBLISHED, path, key)


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
