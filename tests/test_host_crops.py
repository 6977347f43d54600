"""Runs whose views the host cuts from whole photographs."""

import shutil

import cv2
import numpy as np
import pytest
import runs

from ssljax import main


@pytest.fixture
def photographs(tmp_path):
    """Photographs of several sizes in two classes."""
    generator = np.random.default_rng(0)
    for k in range(32):
        folder = tmp_path / "photographs" / ("cat" if k % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        noise = generator.integers(0, 256, (6, 8, 3), np.uint8)
        size = generator.integers(40, 120, 2).tolist()
        cv2.imwrite(str(folder / f"{k}.jpg"), cv2.resize(noise, size))
    return tmp_path / "photographs"


def _command(workdir, photographs, **changes):
    settings = dict(
        steps=4,
        data__name="folder",
        data__dir=photographs,
        data__channels=3,
        data__cache="none",
        data__crop="host",
        data__resize="short_side",
        checkpoint__every=2,
    )
    return runs.arguments(workdir, **(settings | changes))


def test_a_run_that_stops_goes_on_bit_by_bit(tmp_path, photographs):
    command = _command(tmp_path / "run", photographs)
    assert main.main(command) == 0
    whole = runs.final_state(command, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "4")
    assert main.main(command) == 0
    for one, other in zip(runs.final_state(command, tmp_path / "run"), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_crops_of_the_host_are_others_than_those_of_the_device(tmp_path, photographs):
    states = []
    for crop in ("host", "device"):
        command = _command(tmp_path / crop, photographs, data__crop=crop, steps=1)
        assert main.main(command) == 0
        states.append(runs.final_state(command, tmp_path / crop))
    assert any((one != other).any() for one, other in zip(*states, strict=True))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data__cache": "device"}, "config.data.cache='device' keeps none"),
        ({"data__crop": "both"}, 'it must be "device" or "host"'),
    ],
)
def test_what_does_not_go_with_it_is_told(tmp_path, photographs, capsys, changes, told):
    assert main.main(_command(tmp_path / "run", photographs, **changes)) == 2
    assert told in capsys.readouterr().err


def test_a_method_without_crops_is_told(tmp_path, photographs, capsys):
    config = runs.ROOT / "configs" / "dcgan" / "cifar10.py"
    command = [
        "ssljax",
        f"--config={config}",
        f"--workdir={tmp_path / 'run'}",
        "--config.data.name=folder",
        f"--config.data.dir={photographs}",
        "--config.data.cache=none",
        "--config.data.crop=host",
        "--config.batch_size=16",
        "--config.steps=1",
    ]
    assert main.main(command) == 2
    assert "The method dcgan makes its views otherwise" in capsys.readouterr().err
