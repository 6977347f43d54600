"""Published files name the tensors of our encoders, and with them these compute the same."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from ssljax.models import build_encoder
from ssljax.models.weights import find_encoder, naming_of, shapes_of

EPSILON = 1e-5
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "vit_tiny": 5_717_416,
    "vit_small": 22_050_664,
    "vit_base": 86_567_656,
    "vit_large": 304_326_632,
}
"""Of torchvision's and timm's networks, their classifiers of 1,000 classes included."""
OF_CLASSIFIER = {
    "vgg": 4096 * (512 * 49 + 1) + 4096 * (4096 + 1) + 1000 * (4096 + 1),
    "resnet18": 513_000,
    "resnet34": 513_000,
    "resnet": 2_049_000,
    "vit_tiny": 193_000,
    "vit_small": 385_000,
    "vit_base": 769_000,
    "vit_large": 1_025_000,
}


@functools.cache
def published(name):
    """An encoder in its published form, its shapes, and the layout of its file."""
    encoder = build_encoder(name, **({"stem": "imagenet"} if name.startswith("resnet") else {}))
    shapes = shapes_of(encoder)
    return encoder, shapes, naming_of(shapes["params"]).layout(shapes)


def random_tensors(name):
    """Weights of which each layer keeps the size of what it is given."""
    rng, made = np.random.default_rng(0), {}
    for key, (path, shape) in published(name)[2].items():
        if path[-1] == "kernel":
            fan_in = np.prod(shape[1:])
            made[key] = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))
        elif path[-1] in ("scale", "var"):
            made[key] = rng.uniform(0.5, 1, shape).astype(np.float32)
        else:
            made[key] = rng.uniform(-0.2, 0.2, shape).astype(np.float32)
    return made


class Torch:
    """What torchvision's networks compute of maps (channels, height, width), in float64."""

    def __init__(self, tensors):
        self.tensors = {name: x.astype(np.float64) for name, x in tensors.items()}

    def conv(self, x, name, stride, pad):
        kernel = self.tensors[f"{name}.weight"]
        padded = np.pad(x, [(0, 0), (pad, pad), (pad, pad)])
        windows = sliding_window_view(padded, kernel.shape[2:], axis=(1, 2))
        x = np.tensordot(kernel, windows[:, ::stride, ::stride], ([1, 2, 3], [0, 3, 4]))
        bias = self.tensors.get(f"{name}.bias", np.zeros(len(x)))
        return x + bias[:, None, None]

    def norm(self, x, name):
        mean, var, scale, bias = (
            self.tensors[f"{name}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(var + EPSILON) * scale + bias

    def pool(self, x, size, pad):
        padded = np.pad(x, [(0, 0), (pad, pad), (pad, pad)], constant_values=-np.inf)
        windows = sliding_window_view(padded, (size, size), axis=(1, 2))
        return windows[:, ::2, ::2].max(axis=(3, 4))

    def vgg(self, x, stages):
        number = 0
        for stage, count in enumerate(stages):
            if stage:
                x, number = self.pool(x, 2, 0), number + 1
            for _ in range(count):
                x = self.conv(x, f"features.{number}", 1, 1)
                if f"features.{number + 1}.running_mean" in self.tensors:
                    number += 1
                    x = self.norm(x, f"features.{number}")
                x, number = np.maximum(x, 0), number + 2
        return x

    def resnet(self, x, stages):
        x = np.maximum(self.norm(self.conv(x, "conv1", 2, 3), "bn1"), 0)
        x = self.pool(x, 3, 1)
        for stage, count in enumerate(stages, start=1):
            for block in range(count):
                name = f"layer{stage}.{block}"
                stride = 2 if stage > 1 and block == 0 else 1
                x = self.block(x, name, stride)
        return x

    def block(self, x, name, stride):
        deep = f"{name}.conv3.weight" in self.tensors
        y, strides = x, (1, stride, 1) if deep else (stride, 1)
        for number, step in enumerate(strides, start=1):
            side = self.tensors[f"{name}.conv{number}.weight"].shape[2]
            y = self.conv(y, f"{name}.conv{number}", step, side // 2)
            y = self.norm(y, f"{name}.bn{number}")
            if number < len(strides):
                y = np.maximum(y, 0)
        if f"{name}.downsample.0.weight" in self.tensors:
            x = self.norm(self.conv(x, f"{name}.downsample.0", stride, 0), f"{name}.downsample.1")
        return np.maximum(x + y, 0)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("vgg16_bn", (2, 2, 3, 3, 3)),
        ("resnet18", (2, 2, 2, 2)),
        ("resnet50", (3, 4, 6, 3)),
    ],
)
def test_an_encoder_computes_what_the_file_says(name, stages):
    tensors = random_tensors(name)
    image = np.random.default_rng(1).normal(size=(3, 40, 32))
    family, last = ("vgg", "stage5") if name.startswith("vgg") else ("resnet", "stage4")
    wanted = getattr(Torch(tensors), family)(image, stages).transpose(1, 2, 0)
    encoder, shapes, _ = published(name)
    variables = jax.tree.map(jnp.asarray, find_encoder(tensors, shapes).variables)
    images = jnp.asarray(image.transpose(1, 2, 0)[None], jnp.float32)
    found = jax.jit(lambda v, x: encoder.apply(v, x, False)[last])(variables, images)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found[0] / scale, wanted / scale, atol=2e-5)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_file_has_as_many_parameters_as_are_published(name):
    counted = sum(
        int(np.prod(shape)) for path, shape in published(name)[2].values() if path[0] == "params"
    )
    classifier = next(n for part, n in OF_CLASSIFIER.items() if name.startswith(part))
    assert counted == PARAMETERS[name] - classifier
