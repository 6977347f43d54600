"""Published files name the tensors of our encoders, and with them these compute the same."""

import contextlib
import json
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import save_file

from ssljax.errors import UserError
from ssljax.models import build_encoder
from ssljax.models.weights import SCHEMES, from_tensors, load_encoder, read_tensors

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


def random_tensors(name):
    """Weights of which each layer keeps the size of what it is given."""
    rng, made = np.random.default_rng(0), {}
    for key, (path, shape) in SCHEMES[name].layout().items():
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
    variables = jax.tree.map(jnp.asarray, from_tensors(name, tensors, "a file"))
    options = {} if family == "vgg" else {"stem": "imagenet"}
    encoder = build_encoder(name, **options)
    images = jnp.asarray(image.transpose(1, 2, 0)[None], jnp.float32)
    found = jax.jit(lambda v, x: encoder.apply(v, x, False)[last])(variables, images)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found[0] / scale, wanted / scale, atol=2e-5)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_file_has_as_many_parameters_as_are_published(name):
    assert set(PARAMETERS) == set(SCHEMES)
    counted = sum(
        int(np.prod(shape))
        for path, shape in SCHEMES[name].layout().values()
        if path[0] == "params"
    )
    classifier = next(n for part, n in OF_CLASSIFIER.items() if name.startswith(part))
    assert counted == PARAMETERS[name] - classifier


def test_missing_and_unexpected_tensors_are_told_in_one_sentence(tmp_path):
    path = tmp_path / "vgg.safetensors"
    names = SCHEMES["vgg16_bn"].layout().keys() - {"features.1.weight", "features.1.bias"}
    given = dict.fromkeys(names, np.zeros(1, np.float32))
    save_file({**given, "blocks.0.norm1.weight": np.zeros(1, np.float32)}, path)
    told = (
        r"another network than VGG-16 with batch norm: it lacks 2 tensor\(s\) \(features.1.bias, "
        r"features.1.weight\); it has 1 tensor\(s\) \(blocks.0.norm1.weight\) that the encoder has "
    )
    with pytest.raises(UserError, match=told):
        load_encoder("vgg16_bn", path)


def test_an_encoder_without_a_scheme_is_told(tmp_path):
    with pytest.raises(
        UserError, match=r"No published weights of the encoder 'nin' .*vit_large can"
    ):
        load_encoder("nin", tmp_path / "nin.safetensors")


def test_a_pytorch_file_asks_for_pytorch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "vgg16.pth").touch()
    with pytest.raises(UserError, match=r"PyTorch is needed to read .*vgg16.pth"):
        load_encoder("vgg16", tmp_path / "vgg16.pth")
    with pytest.raises(UserError, match=r"There is no file .*vgg19.pth"):
        load_encoder("vgg19", tmp_path / "vgg19.pth")


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9"])
@pytest.mark.parametrize("name", ["vit-s-300ep.pth.tar", "moco_v2_800ep", "a.pth.tar"])
def test_a_pytorch_file_of_any_name_is_known(tmp_path, monkeypatch, start, name):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / name).write_bytes(start)
    with pytest.raises(UserError, match=rf"PyTorch is needed to read .*{name}"):
        read_tensors(tmp_path / name)


def test_types_that_numpy_lacks_are_told(tmp_path):
    file = tmp_path / "vgg16.safetensors"
    entry = {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}
    header = json.dumps({"features.0.weight": entry}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(UserError, match=r"vgg16\.safetensors' cannot be read"):
        load_encoder("vgg16", file)


class _Tensor:
    """As much of PyTorch's tensors as is used."""

    def __init__(self, array, dtype="float32"):
        self.array, self.dtype = array, dtype

    def numpy(self):
        if self.dtype == "bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array

    def float(self):
        return _Tensor(self.array)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_state_dictionary_is_read_without_running_code(tmp_path, monkeypatch, dtype):
    tensors = random_tensors("resnet18")
    state = {name: _Tensor(x, dtype) for name, x in tensors.items()}
    asked, file = [], {}

    def load(path, **options):
        asked.append(options)
        return file["state"]

    serialization = types.SimpleNamespace(safe_globals=contextlib.nullcontext)
    torch = types.SimpleNamespace(
        Tensor=_Tensor, bfloat16="bfloat16", load=load, serialization=serialization
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    (tmp_path / "resnet18.pth").touch()
    extra = {"bn1.num_batches_tracked": _Tensor(np.array(3)), "fc.bias": _Tensor(np.ones(9))}
    file["state"] = state | extra
    found = load_encoder("resnet18", tmp_path / "resnet18.pth")
    kernel = found["params"]["stage2_block1"]["shortcut_conv"]["kernel"]
    theirs = tensors["layer2.0.downsample.0.weight"]
    np.testing.assert_array_equal(kernel[0, 0], theirs[:, :, 0, 0].T)
    assert asked == [{"map_location": "cpu", "weights_only": True}]
    file["state"] = {"epoch": 3, "model": {"module": state}, "optimizer": {"0": _Tensor(0)}}
    inside = load_encoder("resnet18", tmp_path / "resnet18.pth")
    assert jax.tree.all(jax.tree.map(np.array_equal, inside, found))
    for file["state"] in ([1, 2], {"epoch": 3}):
        with pytest.raises(UserError, match="holds no state dictionary of tensors"):
            load_encoder("resnet18", tmp_path / "resnet18.pth")


def test_a_pytorch_file_is_read_where_pytorch_is(tmp_path):
    torch = pytest.importorskip("torch")
    tensors = random_tensors("resnet18")
    state = {name: torch.from_numpy(x) for name, x in tensors.items()}
    extra = {"bn1.num_batches_tracked": torch.tensor(3), "fc.bias": torch.zeros(1000)}
    torch.save(state | extra, tmp_path / "resnet18.pth")
    found = load_encoder("resnet18", tmp_path / "resnet18.pth")
    kernel = found["params"]["stage2_block1"]["shortcut_conv"]["kernel"]
    theirs = tensors["layer2.0.downsample.0.weight"]
    np.testing.assert_array_equal(kernel[0, 0], theirs[:, :, 0, 0].T)


@pytest.mark.parametrize("content", ["missing", "text", "list", "code"])
def test_a_pytorch_file_of_something_else_is_told(tmp_path, content):
    torch = pytest.importorskip("torch")
    path = tmp_path / "resnet18.pth"
    if content == "text":
        path.write_text("no weights")
    elif content == "list":
        torch.save([1, 2], path)
    elif content == "code":
        torch.save(load_encoder, path)
    with pytest.raises(UserError, match=r"resnet18\.pth"):
        load_encoder("resnet18", path)
