"""PyTorch's libraries compute of an exported network what it computes itself."""

import exported
import jax
import numpy as np
import pytest

from ssljax.augment import center_view
from ssljax.errors import UserError
from ssljax.export import timm as to_timm
from ssljax.export import torchvision as to_torchvision

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

VIT = dict(name="vit_tiny", dim=24, depth=3, heads=3, patch_size=8)


def seen(subject, images):
    """What the encoder is given, as PyTorch has it."""
    view = center_view(subject.encoder().view, images)
    return torch.from_numpy(np.asarray(view).transpose(0, 3, 1, 2).copy())


def compared(subject, network):
    images = exported.photographs()
    wanted = np.asarray(jax.jit(subject.embed())(images))
    with torch.no_grad():
        found = network(seen(subject, images)).numpy()
    assert np.abs(wanted).max() > 0.1
    assert np.ptp(wanted, axis=0).max() > 0.01  # The images are told apart.
    np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize(
    ("method", "encoder"),
    [
        ("simclr", dict(name="resnet18", stem="imagenet")),
        ("dino", VIT),
        ("dino", VIT | dict(pool="mean")),
        ("mae", VIT),
        ("dino", VIT | dict(registers=4, layer_scale=1.0)),
        ("simclr", VIT | dict(class_token=False, pool="mean")),
    ],
)
def test_timm_computes_the_same(method, encoder, tmp_path):
    subject = exported.subject(method, **encoder)
    to_timm.write(subject, tmp_path)
    network = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    compared(subject, network)
    data = timm.data.resolve_model_data_config(network)
    assert tuple(data["input_size"]) == (3, 32, 32)
    np.testing.assert_allclose(data["mean"], exported.VIEW["mean"])
    np.testing.assert_allclose(data["crop_pct"], 32 / 37)


@pytest.mark.parametrize(("name", "stem"), [("resnet18", "cifar"), ("resnet50", "imagenet")])
def test_torchvision_computes_the_same(name, stem, tmp_path):
    subject = exported.subject(name=name, stem=stem)
    code = to_torchvision.write(subject, tmp_path).strip("`").removeprefix("python")
    known = {}
    exec(code.replace('"model.safetensors"', repr(str(tmp_path / "model.safetensors"))), known)
    compared(subject, known["network"])


def test_timm_has_no_small_stem(tmp_path):
    with pytest.raises(UserError, match="no 3x3 convolution of stride 1"):
        to_timm.write(exported.subject(name="resnet18", stem="cifar"), tmp_path)
