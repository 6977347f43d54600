"""A trained network in a program gives what evaluations read, of images of all kinds."""

import csv
import functools
import operator
import os
import pathlib
import subprocess
import sys

import cv2
import gans
import jax
import numpy as np
import pytest
import runs
import unpaired
from ml_collections import ConfigDict
from PIL import Image
from safetensors.numpy import save_file

import ssljax
from ssljax import main, mesh, models, report
from ssljax.evals import Run, features
from ssljax.evals.generative import to_pixels
from ssljax.methods.adversarial.dcgan import DCGAN
from ssljax.model import Model
from ssljax.models import weights
from ssljax.models.encoders.resnet import BasicBlock, ResNet
from ssljax.run import pretrained
from ssljax.run import workdir as workdirs
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.experiment import Experiment

VIT = """
from ssljax.config.base import base_config


def get_config():
    config = base_config("simclr")
    config.data.update(name="digits", image_size=8, channels=1, resize="none", cache="device")
    config.method.view.update(size=8, crop_scale=None, flip_p=0.0, interpolation="bilinear")
    config.method.view.update(brightness=0.0, saturation=0.0, hue=0.0, gray_p=0.0, blur_p=0.0)
    config.model.encoder.update(name="vit_mini", dim=8, depth=2, heads=2, patch_size=4)
    config.optimizer.update(name="adamw", learning_rate=2e-3)
    return config
"""
"""Of images of 8 pixels a side: two by two patches."""


@pytest.fixture(name="command", scope="module")
def _command(tmp_path_factory):
    """Of a run with two checkpoints, of which the second has other parameters."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "vit.py").write_text(VIT)
    command = runs.arguments(folder / "run", folder / "vit.py", steps=2)
    command = [option for option in command if "widths" not in option]
    experiment, place = Experiment(main.parse(command).config), folder / "run"
    workdirs.prepare(place)
    workdirs.record(experiment.config, place, 0)
    pretrained.record(experiment.task, [], place)
    checkpoints, state = Checkpoints(place / "checkpoints"), experiment.init()
    for step in (1, 2):
        params = jax.tree.map(lambda x, step=step: step * x, state.params)
        checkpoints.save(step, state.replace(step=state.step + step, params=params))
    checkpoints.close()
    return command


@pytest.fixture(name="workdir", scope="module")
def _workdir(command):
    return command[2].partition("=")[2]


@pytest.fixture(name="model", scope="module")
def _model(workdir):
    return ssljax.load(workdir)


@pytest.fixture(name="evaluated", scope="module")
def _evaluated(command, model):
    """The images of the test split, and the features that its probes read."""
    run = Run(Experiment(main.parse(command).config))
    scan = features.test_scan(run)
    images = np.concatenate([batch["image"][batch["index"] >= 0] for batch in scan])
    read = features.labelled(run, features.outputs(run, model.state), scan)
    return images, read.outputs["features"]


def test_embeddings_are_the_features_that_evaluations_read(model, evaluated):
    images, wanted = evaluated
    assert len(images) == 397  # No multiple of the devices.
    for batch_size in (256, 100, 1000):
        found = model.embed(images, batch_size=batch_size)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_one_device_gives_what_eight_give(model, evaluated):
    images, wanted = evaluated
    auto = jax.sharding.AxisType.Auto
    devices = np.array(jax.devices()[:1]).reshape(1, 1)
    one = jax.sharding.Mesh(devices, model.mesh.axis_names, axis_types=(auto, auto))
    state = jax.device_put(model.state, mesh.replicated(one))
    alone = Model(model.method, state, model.config, one)
    np.testing.assert_allclose(alone.embed(images[:9]), wanted[:9], rtol=1e-5, atol=1e-6)


def test_images_of_all_kinds_and_sizes_are_seen_alike(model, evaluated, tmp_path):
    images, wanted = evaluated
    large = np.repeat(np.repeat(images[1], 3, 0), 3, 1)  # Areas are averaged: nothing is mixed.
    wide = np.pad(images[2], [(0, 0), (4, 4), (0, 0)])
    (tmp_path / "more").mkdir()
    cv2.imwrite(str(tmp_path / "more" / "0.png"), large)
    cv2.imwrite(str(tmp_path / "z.bmp"), wide)
    given = {
        "arrays": [images[0], large, wide, images[3][:, :, 0]],
        "16 bits and floats": [images[0].astype(np.uint16) << 8, large / 255.0, images[2]],
        "pictures": [Image.fromarray(x[:, :, 0]) for x in (images[0], large, wide)],
        "colours": [Image.fromarray(x[:, :, 0]).convert("P") for x in (images[0], large)],
        "one file": tmp_path / "more" / "0.png",
        "a folder": str(tmp_path),
        "on devices": jax.numpy.asarray(images[:4]),
        "grey": images[:4, :, :, 0],
    }
    rows = {name: slice(4) for name in given} | {"one file": slice(1, 2), "a folder": slice(1, 3)}
    for name, kind in given.items():
        found = model.embed(kind, progress=False)
        np.testing.assert_allclose(found, wanted[rows[name]][: len(found)], rtol=1e-4, atol=1e-5)
    bright = images[0] > 7
    found = model.embed([np.uint8(255) * bright, bright, Image.fromarray(bright[:, :, 0])])
    np.testing.assert_array_equal(found[1:], found[[0, 0]])


def test_a_picture_is_turned_as_its_exif_says(model, evaluated, tmp_path):
    images, wanted = evaluated
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees to the right.
    picture = Image.fromarray(np.rot90(images[5][:, :, 0]).copy())
    picture.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        np.testing.assert_allclose(model.embed([opened])[0], wanted[5], rtol=1e-4, atol=1e-5)


def test_stages_come_in_their_order_and_maps_as_they_are(model, evaluated):
    images, wanted = evaluated
    found = model.features(images[:3])
    assert tuple(found) == model.stages
    assert model.stages[:3] == ("block1", "block2", "features")
    assert found["block1"].shape == (3, 2, 2, 8)
    np.testing.assert_allclose(found["features"], wanted[:3], rtol=1e-5, atol=1e-6)
    assert list(model.features(images[:3], stages=["block2"])) == ["block2"]
    by_place = found["block2"].astype(np.float64).mean((1, 2))
    np.testing.assert_allclose(model.embed(images[:3], stage="block2"), by_place, atol=1e-6)


def test_attention_is_that_of_the_last_block(model, evaluated):
    images = evaluated[0][:5]
    found = model.attention(images)
    assert found.shape == (5, 2, 5, 5)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    assert found.min() >= 0
    encoder, params = model.method.network.encoder, model.state.params["online"]["encoder"]
    attend = gans.jit(
        lambda params, images: encoder.apply(
            {"params": params}, images, train=False, attention=True
        )["attention"]
    )
    wanted = attend(params, (images / 255).astype(np.float32))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_every_checkpoint_can_be_loaded_without_the_data(workdir, model, monkeypatch):
    monkeypatch.setattr("ssljax.data.open_source", None)  # The training set may be gone.
    first = ssljax.load(workdir, step=1)
    assert (first.step, model.step) == (1, 2)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    assert np.abs(first.embed(images) - model.embed(images)).max() > 1e-4
    assert repr(first) == "<ssljax.Model simclr, step 1: can embed, features, attention>"


def test_a_generator_draws_what_sampling_draws():
    method = gans.build(DCGAN)
    state = gans.start(method)
    keys = dict(data=dict(image_size=gans.SIDE, channels=1), method=dict(name="dcgan"))
    drawing = Model(method, state, ConfigDict(keys), mesh.make_mesh())
    found = drawing.generate(3, seed=4)
    assert found.shape == (3, gans.SIDE, gans.SIDE, 1)
    latents = method.latents(jax.random.fold_in(jax.random.key(4), 2), 3)
    wanted = np.asarray(to_pixels(method.generate(state, latents)), np.int32)
    assert np.abs(found - wanted).max() <= 1
    assert np.abs(drawing.generate(3, seed=5).astype(int) - found).max() > 0
    with pytest.raises(ssljax.UserError, match="dcgan is no vision transformer of whole images"):
        drawing.attention(found)


def test_a_translator_translates_one_way_or_the_other(tmp_path):
    with unpaired.listed():
        images = unpaired.paint(tmp_path / "images")
        experiment = Experiment(main.parse(unpaired.arguments(tmp_path, images)).config)
        state = experiment.init()
        model = Model(experiment.method, state, experiment.config, experiment.mesh)
        given = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
        for way, network in (
            ("photos to paintings", "paintings"),
            ("paintings to photos", "photos"),
        ):
            weights = np.asarray(state.params["generators"][network], np.float64)
            made = (given.reshape(3, -1) / 127.5 - 1) @ weights
            wanted = np.clip(np.round(127.5 * (made + 1)), 0, 255)
            assert np.abs(model.translate(given, way).reshape(3, -1) - wanted).max() <= 1
        with pytest.raises(ssljax.UserError, match="way='A to B' is none of the method's"):
            model.translate(given, "A to B")


def test_a_file_of_published_weights_is_loaded(tmp_path, monkeypatch):
    shallow = functools.partial(ResNet, (1, 1, 1, 1), BasicBlock)
    monkeypatch.setitem(models.ENCODERS, "resnet18", shallow)
    rng, shapes = np.random.default_rng(0), weights.shapes_of(shallow())
    variables = jax.tree.map(
        lambda x: np.abs(rng.normal(0.01, 0.02, x.shape)).astype(np.float32), shapes
    )
    tensors = weights.tensors_of(variables, weights.naming_of(shapes["params"]).layout(shapes))
    save_file(tensors, tmp_path / "weights.safetensors")
    model = ssljax.load(tmp_path / "weights.safetensors", model="resnet18", image_size=42)
    assert repr(model) == "<ssljax.Model resnet18, step 0: can embed, features>"
    images = rng.integers(0, 256, (2, 48, 48, 3), np.uint8)
    seen = (images[:, 3:45, 3:45] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    encode = gans.jit(lambda variables, images: shallow().apply(variables, images, False))
    wanted = encode(variables, seen.astype(np.float32))
    np.testing.assert_allclose(
        model.embed(images), np.asarray(wanted["features"]), rtol=1e-4, atol=1e-5
    )
    for options, told in (
        (dict(), "say which encoder it holds, as in ssljax.load"),
        (dict(model="resnet19"), "There is no encoder 'resnet19'"),
        (dict(model="resnet34"), "weights.safetensors"),
        (dict(model="resnet18", step=1), "has no steps"),
        (dict(model="resnet18", mean=(0.5,)), r"mean=\(0.5,\) is impossible"),
        (dict(model="vit_tiny", image_size=30), r"network does not fit: .*30.*[^.]\.$"),
        (dict(model="resnet18", image_size=0), "size must be"),
        (dict(model="resnet18", stem="cifar"), r"Give stem='imagenet'\.$"),
        (dict(model="resnet18", image_size=16), "Images of 16x16 pixels do not fit"),
    ):
        with pytest.raises(ssljax.UserError, match=told):
            ssljax.load(tmp_path / "weights.safetensors", **options)


def test_what_cannot_be_done_is_told(model, workdir, tmp_path):
    (tmp_path / "9.png").write_bytes(b"no image")
    images = np.zeros((2, 8, 8, 1), np.uint8)
    for ask, told in (
        (lambda: model.generate(3), "simclr draws no images: it can embed, features, attention"),
        (lambda: model.translate(images), "simclr translates no images"),
        (lambda: model.embed(images[0]), "one image is given as"),
        (lambda: model.embed(images[0, :, 0]), "it must be .number, height, width, channels"),
        (lambda: model.embed([]), "There are no images"),
        (lambda: model.embed(None), "The images are NoneType: give an array"),
        (lambda: model.embed([Image.new("I", (8, 8), 300)]), "holds int32 numbers, whose white"),
        (lambda: ssljax.load(workdir, image_size=32), "no argument 'image_size' for a run"),
        (lambda: ssljax.load(workdir, model="small"), "leave out `model` to load the workdir"),
        (lambda: model.embed([np.zeros(3)]), r"Image 0 is float64 \(3,\)"),
        (lambda: model.embed([images[0], images[1] - 1.0]), "Image 1 holds floats from -1 to -1"),
        (lambda: model.embed([images[0, :, :, [0, 0]]]), r"has 8 channels, not 1\.$"),
        (lambda: model.embed(tmp_path), r"9.png is corrupt \(.*\): repair it or leave it out\.$"),
        (lambda: model.embed(tmp_path / "none"), "There is no directory"),
        (lambda: model.embed(images, stage="layer9"), "no stage 'layer9': choose one of block1"),
        (lambda: model.features(images, stages=("layer9",)), "no stage 'layer9'"),
        (lambda: model.embed(images, batch_size=0), "batch_size=0 is impossible"),
        (lambda: ssljax.load(tmp_path), "There is no checkpoint in"),
        (lambda: ssljax.load(workdir, step=7), r"No checkpoint of step 7 .*there are \[1, 2\]"),
        (lambda: ssljax.load(workdir, step=0), "step=0 is impossible"),
    ):
        with pytest.raises(ssljax.UserError, match=told) as raised:
            ask()
        assert "config" not in str(raised.value)


@pytest.fixture(name="folder")
def _folder(tmp_path):
    """Eleven images of three sizes in two folders, some further below."""
    rng = np.random.default_rng(0)
    for number in range(11):
        place = tmp_path / "photos" / ("cats" if number < 4 else "dogs/more")
        place.mkdir(parents=True, exist_ok=True)
        side = (8, 16, 24)[number % 3]
        cv2.imwrite(str(place / f"{number:02d}.png"), rng.integers(0, 256, (side, side), np.uint8))
    return tmp_path / "photos"


def _embed(command, folder, **changes):
    options = {"embed__dir": folder, **changes}
    asked = [f"--config.{key.replace('__', '.')}={value}" for key, value in options.items()]
    return [*command, *asked, "--mode=embed"]


def _read(workdir):
    place = pathlib.Path(workdir) / "embeddings"
    with (place / "files.csv").open(newline="") as file:
        return np.load(place / "embeddings.npy", allow_pickle=False), list(csv.DictReader(file))


def test_each_image_of_a_folder_has_a_row_and_a_line(command, workdir, model, folder):
    assert main.main(_embed(command, folder, evals__batch_size=4)) == 0
    rows, lines = _read(workdir)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert [line["path"] for line in lines] == files
    assert [line["row"] for line in lines] == [str(row) for row in range(11)]
    assert [line["label"] for line in lines] == 4 * ["cats"] + 7 * ["dogs"]
    assert rows.dtype == np.float32
    wanted = model.embed([folder / file for file in files])
    np.testing.assert_allclose(rows, wanted, rtol=1e-5, atol=1e-6)
    picture = cv2.imread(f"{workdir}/embeddings/map.png")
    assert max(picture.shape[:2]) > 500
    assert picture.std() > 1


def test_a_damaged_image_is_left_out_or_ends_the_program(command, workdir, model, folder, capsys):
    (folder / "cats" / "01.png").write_bytes(b"no image")
    assert main.main(_embed(command, folder)) == 2
    assert "1 corrupt image, but config.data.max_corrupt allows 0" in capsys.readouterr().err
    changes = dict(data__max_corrupt=1, embed__projection="pca", embed__stage="block1")
    assert main.main(_embed(command, folder, **changes)) == 0
    assert "cats/01.png is corrupt and left out" in capsys.readouterr().err
    rows, lines = _read(workdir)
    assert rows.shape == (10, 8)
    assert [line["row"] for line in lines] == [str(row) for row in range(10)]
    assert "cats/01.png" not in [line["path"] for line in lines]
    left = [folder / line["path"] for line in lines]
    wanted = model.features(left, stages=("block1",))["block1"].mean((1, 2))
    np.testing.assert_allclose(rows, wanted, rtol=1e-5, atol=1e-6)


def test_the_command_line_says_how_layers_are_pooled(command, workdir, folder):
    changes = dict(evals__stages="('block1',)", evals__pool="max", mesh__data=4, mesh__fsdp=2)
    assert main.main(_embed(command, folder, **changes)) == 0
    rows, lines = _read(workdir)
    left = [folder / line["path"] for line in lines]
    maps = ssljax.load(workdir).features(left, stages=("block1",))["block1"]
    np.testing.assert_allclose(rows, maps.max((1, 2)), rtol=1e-5, atol=1e-6)


def test_features_are_written_before_the_map_and_whatever_they_are(
    command, workdir, folder, monkeypatch, capsys
):
    os.rename(folder / "cats" / "00.png", os.fsencode(folder / "cats") + b"/\xff.png")
    embedding = Model.embedding
    monkeypatch.setattr(Model, "embedding", lambda *given: embedding(*given).at[2].set(np.nan))
    assert main.main(_embed(command, folder)) == 0
    assert "features of 1 images are not finite" in capsys.readouterr().err
    rows, lines = _read(workdir)
    assert np.isnan(rows).all(axis=1).tolist() == [row == 2 for row in range(11)]
    assert "cats/?.png" in [line["path"] for line in lines]
    monkeypatch.setattr(report, "plane", lambda *given: 1 / 0)
    (pathlib.Path(workdir) / "embeddings" / "embeddings.npy").unlink()
    with pytest.raises(ZeroDivisionError):
        main.main(_embed(command, folder))
    assert len(_read(workdir)[0]) == 11
    assert not (pathlib.Path(workdir) / "embeddings" / "map.png").exists()


def test_what_cannot_be_embedded_is_told(command, folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    other = [f"--workdir={tmp_path}" if "workdir" in part else part for part in command]
    for asked, told in (
        (_embed(command, ""), "reads a folder of images: name it in config.embed.dir"),
        (_embed(command, tmp_path / "none"), "There is no directory"),
        (_embed(command, tmp_path / "empty"), "holds no images"),
        (_embed(other, folder), "There is no checkpoint in"),
        (_embed(command, folder, embed__stage="stage9"), "no stage 'stage9'"),
        (
            _embed(command, folder, embed__projection="umap"),
            "config.embed.projection='umap' is impossible",
        ),
        (_embed(command, folder, method__temperature=0.3), "written by another config"),
    ):
        assert main.main(asked) == 2
        assert told in capsys.readouterr().err


def test_importing_ssljax_loads_nothing_and_names_are_found_when_used():
    code = (
        "import sys, ssljax; loaded = set(sys.modules)"
        "; assert not loaded & {'jax', 'numpy', 'flax', 'rich'}, loaded"
        "; assert set(ssljax.__all__) <= set(dir(ssljax))"
        "; assert ssljax.losses.nt_xent and ssljax.augment.ViewPolicy"
        "; assert 'flax' not in sys.modules and 'grain' not in sys.modules"
        "; assert ssljax.UserError and 'orbax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        operator.attrgetter("lode")(ssljax)
