"""VGG-19's weights: from a file of safetensors to the content that super-resolution compares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load_file, save_file

from ssljax.errors import UserError
from ssljax.models import build_encoder
from ssljax.models.weights import load_vgg19
from ssljax.tools import convert_vgg

NUMBERS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
"""Of the convolutions among torchvision's layers."""
WIDTHS = (*[64] * 2, *[128] * 2, *[256] * 4, *[512] * 8)


@pytest.fixture(scope="module")
def tensors():
    """Random weights of the convolutions, and some of either classifier."""
    rng = np.random.default_rng(0)
    made, inputs = {}, 3
    for number, width in zip(NUMBERS, WIDTHS, strict=True):
        kernel = rng.standard_normal((width, inputs, 3, 3), np.float32)
        made[f"features.{number}.weight"] = kernel * np.float32(np.sqrt(2 / (9 * inputs)))
        made[f"features.{number}.bias"] = rng.uniform(-0.2, 0.2, width).astype(np.float32)
        inputs = width
    return made


def stages(x, tensors, count):
    """The first convolutions in float64, of maps (channels, height, width), each with its ReLU."""
    for number in NUMBERS[:count]:
        if number in (5, 10, 19, 28):
            x = sliding_window_view(x, (2, 2), axis=(1, 2))[:, ::2, ::2].max(axis=(3, 4))
        kernel = tensors[f"features.{number}.weight"].astype(np.float64)
        windows = sliding_window_view(np.pad(x, [(0, 0), (1, 1), (1, 1)]), (3, 3), axis=(1, 2))
        x = np.tensordot(kernel, windows, ([1, 2, 3], [0, 3, 4]))
        x = np.maximum(x + tensors[f"features.{number}.bias"].astype(np.float64)[:, None, None], 0)
    return x


def test_the_network_computes_what_the_file_says(tensors, tmp_path):
    classifier = {
        "classifier.0.weight": np.zeros((2, 3), np.float32),  # Of torchvision.
        "pre_logits.fc1.weight": np.zeros((2, 3, 1, 1), np.float32),  # Of timm.
        "head.fc.bias": np.zeros(2, np.float32),
    }
    whole, small = tmp_path / "whole.safetensors", tmp_path / "new" / "small.safetensors"
    save_file(tensors | classifier, whole)
    assert convert_vgg.main([str(whole), str(small)]) == 0
    assert set(load_file(small)) == set(tensors)
    variables = jax.tree.map(jnp.asarray, load_vgg19(small))
    images = np.random.default_rng(1).normal(size=(1, 16, 16, 3))
    outputs = build_encoder("vgg19").apply(variables, jnp.asarray(images, jnp.float32), False)
    x = images[0].transpose(2, 0, 1)
    for stage, count in (("stage1", 2), ("stage2", 4), ("stage5", 16)):
        wanted = stages(x, tensors, count).transpose(1, 2, 0)
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(outputs[stage][0] / scale, wanted / scale, atol=2e-4)


def broken(tensors, how):
    """Files that hold something else."""
    if how == "missing":
        return {name: x for name, x in tensors.items() if name != "features.34.bias"}
    if how == "batch norm":
        return tensors | {"features.1.running_mean": np.zeros(64, np.float32)}
    return tensors | {"features.0.weight": np.zeros((64, 1, 3, 3), np.float32)}


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("missing", "it lacks 1 tensor(s) (features.34.bias)"),
        ("batch norm", "it has 1 tensor(s) (features.1.running_mean) that the encoder has not"),
        ("shape", "such as features.0.weight, (64, 1, 3, 3) there and (64, 3, 3, 3) here"),
    ],
)
def test_a_file_of_something_else_is_told(tensors, tmp_path, capsys, how, told):
    source = tmp_path / "in.safetensors"
    save_file(broken(tensors, how), source)
    assert convert_vgg.main([str(source), str(tmp_path / "out.safetensors")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_a_file_that_is_missing_or_damaged_is_told(tmp_path):
    path = tmp_path / "vgg19.safetensors"
    with pytest.raises(UserError, match="There is no file"):
        load_vgg19(path)
    path.write_text("no weights")
    with pytest.raises(UserError, match=r"cannot be read .*give a safetensors file"):
        load_vgg19(path)
