"""From a content and a style to an image, with each kind of network, and what is refused."""

import json
import shutil

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from ssljax import main as train
from ssljax.models import VGG
from ssljax.models.weights import naming_of, shapes_of
from ssljax.tools import style_masks, style_networks, style_transfer

NARROW = {"widths": (4, 4, 8, 8, 8)}
RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)
CONTENT, STYLE = (32, 40), (36, 32)
RUN = """
from ssljax.config.base import base_config


def get_config():
    config = base_config("supervised")
    config.data.update(name="digits", channels=3, image_size=16, cache="device")
    config.method.view.update(size=16, crop_scale=None, mean=None, std=None)
    config.model.encoder.update(name="small", widths=(4, 8), stem_stride=1)
    config.batch_size, config.steps, config.evals.final = 16, 1, ()
    config.log.tensorboard = False
    return config
"""


def _write(path, pixels):
    assert cv2.imwrite(str(path), np.asarray(pixels, np.uint8)[..., ::-1])
    return str(path)


def _painted(size, left, right):
    mask = np.zeros((*size, 3), np.uint8)
    mask[:, : size[1] // 2], mask[:, size[1] // 2 :] = left, right
    return mask


@pytest.fixture(name="narrow", autouse=True)
def _narrow(monkeypatch):
    """VGG-19 with few channels."""
    monkeypatch.setattr(
        style_networks.models, "build_encoder", lambda name: VGG(**NARROW) if name else None
    )


@pytest.fixture(name="files")
def _files(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.linspace(0, 255, CONTENT[0])[:, None, None]
    content = np.broadcast_to(rows, (*CONTENT, 3)) * [0.2, 0.9, 0.5]
    style = rng.integers(0, 256, (*STYLE, 3)) * [1, 0.6, 0.1]
    return {
        "content": _write(tmp_path / "content.png", content),
        "style": _write(tmp_path / "style.png", style),
        "out": str(tmp_path / "new" / "made.png"),
        "weights": "random",
        "steps": 12,
        "log_every": 6,
        "save_every": 0,
        "memory": 5,
    }


def _main(files, *flags, **changes):
    given = {name: value for name, value in (files | changes).items() if value is not None}
    return style_transfer.main([*flags, *(f"--{name}={value}" for name, value in given.items())])


def _read(path):
    return cv2.imread(str(path)).astype(float)[..., ::-1]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_an_image_gets_nearer_to_content_and_style(files, tmp_path, capsys, optimizer):
    assert _main(files, save_every=6, optimizer=optimizer) == 0
    told = capsys.readouterr().err.splitlines()
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in told if "loss" in line]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert "step 12 of 12: loss" in told[-1]
    assert _read(files["out"]).shape == (*CONTENT, 3)
    made = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert made == ["made-step-00006.png", "made.png"]


def test_a_photograph_is_recoloured_in_two_stages(files, tmp_path, capsys):
    masks = {
        "content_mask": _write(tmp_path / "c.png", _painted(CONTENT, RED, BLUE)),
        "style_mask": _write(tmp_path / "s.png", _painted(STYLE, BLUE, RED)),
    }
    assert _main(files, "--photo", **masks) == 0
    told = capsys.readouterr().err
    assert "segments: blue, red" in told
    assert "stage1, step 12 of 12: loss" in told
    assert "photorealism" not in told.split("stage2")[0]
    assert "photorealism" in told.split("stage2")[1]
    made = {path.name for path in (tmp_path / "new").iterdir()}
    assert made == {"made-stage1.png", "made-stage2.png", "made.png"}
    # The content differs from row to row alone, and so does what is affine in its colours.
    grain = [
        _read(tmp_path / "new" / name)[:, 2:18].std(axis=1).mean()
        for name in ("made-stage1.png", "made.png")
    ]
    assert grain[1] < 0.5 * grain[0]


def test_weights_of_a_file_are_taken_as_they_are(files, tmp_path):
    rng = np.random.default_rng(1)
    shapes = shapes_of(VGG())
    layout = naming_of(shapes["params"]).layout(shapes)
    tensors = {
        name: rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:]) + 1))
        for name, (path, shape) in layout.items()
        if "stage1" in path[1]
    }
    tensors |= {n: np.zeros(s, np.float32) for n, (_, s) in layout.items() if n not in tensors}
    save_file(tensors, tmp_path / "vgg19.safetensors")
    image = rng.uniform(0, 255, (16, 16, 3))
    normal = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    caffe = image[..., ::-1] - [103.939, 116.779, 123.68]
    kernel, bias = tensors["features.0.weight"], tensors["features.0.bias"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style_networks.models, "build_encoder", lambda name: VGG())
        for inputs, seen in (("torchvision", normal), ("caffe", caffe)):
            network = style_networks.open_vgg(str(tmp_path / "vgg19.safetensors"), inputs)
            found = network.maps(network.weights, jnp.asarray(image, jnp.float32))["relu1_1"]
            wanted = np.einsum("ocyx,yxc->o", kernel.astype(float), seen[4:7, 8:11]) + bias
            np.testing.assert_allclose(found[5, 9], np.maximum(wanted, 0), rtol=1e-4, atol=1e-3)
            assert network.published == (inputs == "caffe")


@pytest.fixture(name="run", scope="module")
def _run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    file, workdir = folder / "supervised.py", folder / "supervised"
    file.write_text(RUN)
    assert train.main(["", f"--config={file}", f"--workdir={workdir}"]) == 0
    return workdir


def test_the_encoder_of_a_run_may_be_the_network(files, run, capsys):
    assert _main(files, weights=None, workdir=run, steps=3, log_every=3) == 0
    assert "step 3 of 3: loss" in capsys.readouterr().err
    network = style_networks.open_run(str(run))
    assert network.content == ("stage1",)
    assert network.style == ("stem", "stage1", "stage2")


def test_a_run_without_colours_is_told(files, run, tmp_path, capsys):
    grey = shutil.copytree(run, tmp_path / "grey")
    task = json.loads((grey / "task.json").read_text()) | {"image_shape": [16, 16, 1]}
    (grey / "task.json").write_text(json.dumps(task))
    assert _main(files, weights=None, workdir=grey) == 2
    assert "has learnt from images of 1 channel(s)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weights": None}, "Name one network: --weights"),
        ({"workdir": "run"}, "Name one network: --weights"),
        ({"weights": None, "workdir": "none"}, "none is not the --workdir of a run"),
        ({"weights": "none.safetensors"}, "none.safetensors': name one with weights"),
        ({"content": "none.png"}, "none.png cannot be read"),
        ({"style": __file__}, "test_style_transfer.py cannot be read as an image"),
        ({"out": "made.jpg"}, "made.jpg does not end in .png"),
        ({"out": f"{__file__}/made.png"}, "test_style_transfer.py cannot be read or written"),
        ({"seed": 2**32}, "--seed is 4294967296; it must be from 0 to 4294967295"),
        ({"content_mask": "mask.png"}, "--content_mask and --style_mask go together"),
        ({"steps": 0}, "--steps is 0; it must be above 0"),
        ({"style_weight": -1}, "--style_weight is -1.0; it must be 0 or more"),
        ({"style_weight": "nan"}, "--style_weight is nan"),
        ({"style_layers": "relu9_1"}, "has no layer 'relu9_1'; it has relu1_1"),
        ({"size": 8}, "cannot see the image: Images of"),
        ({"style_weight": 1e38}, "The losses are not finite at step 6"),
    ],
)
def test_mistakes_are_told_in_a_sentence(files, capsys, changes, told):
    assert _main(files, **changes) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.strip().splitlines()) == 1


def test_masks_that_do_not_fit_are_told(files, tmp_path, capsys):
    masks = {
        "content_mask": _write(tmp_path / "c.png", _painted(CONTENT, RED, BLUE)),
        "style_mask": _write(tmp_path / "s.png", _painted(STYLE, GREEN, (90, 90, 90))),
    }
    assert _main(files, **masks) == 2
    told = capsys.readouterr().err
    assert "no colour in common" in told
    assert "c.png has blue, red and" in told
    assert "s.png has green)" in told
    small = _write(tmp_path / "small.png", _painted((8, 8), RED, BLUE))
    assert _main(files, **masks | {"style_mask": small}) == 2
    assert "--style and --style_mask must have the same size" in capsys.readouterr().err


def test_colours_are_known_to_a_tenth():
    mask = np.array([[(20, 235, 10), (26, 255, 0), (110, 130, 150), (250, 0, 240)]], np.uint8)
    found = style_masks.read_segments(mask, mask, ("a", "b"))
    assert {name: np.flatnonzero(part[0]).tolist() for name, part in found.items()} == {
        "green": [0],
        "grey": [2],
        "purple": [3],
    }


def test_segments_go_through_the_layers_of_a_vgg():
    """Averages over 3 x 3 with zeros around, and halves at pools, by hand."""
    mask = np.zeros((1, 4, 6))
    mask[0, :, 3:] = 1
    found = style_masks.at_vgg_layers(jnp.asarray(mask, jnp.float32), (1, 1))
    first = np.array([4, 6, 6, 4])[:, None] / 9 * np.array([0, 0, 0.5, 1, 1.5, 1])
    np.testing.assert_allclose(found["relu1_1"][0, 1], [0, 0, 1 / 3, 2 / 3, 1, 2 / 3], rtol=1e-5)
    np.testing.assert_allclose(
        found["relu1_1"][0, 0], [0, 0, 2 / 9, 4 / 9, 6 / 9, 4 / 9], rtol=1e-5
    )
    assert first.shape == found["relu1_1"][0].shape
    assert found["relu2_1"].shape == (1, 2, 3)
