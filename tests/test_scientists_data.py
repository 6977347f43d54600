"""Images of 16 bits and of several channels train like any other."""

import cv2
import numpy as np
import pytest
import runs
import tifffile

from ssljax import main

CHANNELS = 4


@pytest.fixture
def images(tmp_path):
    """Eight files each of 16-bit PNG, 4-channel TIFF and NPY, all of four channels."""
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for k in range(8):
        values = generator.integers(0, 65536, (12, 10, CHANNELS), np.uint16)
        cv2.imwrite(str(folder / f"{k}.png"), values)
        tifffile.imwrite(
            folder / f"{k}.tiff", values, photometric="minisblack", planarconfig="contig"
        )
        np.save(folder / f"{k}.npy", values)
    return folder


def _command(tmp_path, images, **changes):
    settings = dict(
        steps=2,
        data__name="folder",
        data__dir=images,
        data__channels=CHANNELS,
        data__cache="none",
        data__resize="short_side",
        method__online_probe=False,
        method__view__brightness=0.0,
        method__view__contrast=0.0,
        method__view__mean="(0.5,)",
        method__view__std="(0.25,)",
    )
    return runs.arguments(tmp_path / "run", **(settings | changes))


def test_a_folder_of_png_tiff_and_npy_of_four_channels_trains(tmp_path, images):
    command = _command(tmp_path, images)
    assert main.main(command) == 0
    state = runs.final_state(command, tmp_path / "run")
    assert any(CHANNELS in array.shape[:-1] for array in state if array.ndim == 4)


def test_a_range_is_one_for_all_images(tmp_path, images):
    assert main.main(_command(tmp_path, images, data__range="(0.0, 4095.0)")) == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data__channels": 3, "data__range": "(3, 3)"}, "the numbers that are black and white"),
        ({"data__channels": 5}, "not 5 as config.data.channels says"),
        ({"method__view__brightness": 0.4}, "colour needs 1 or 3 channels, got 4: set brightness"),
        ({"method__view__gray_p": 0.2}, "colour needs 1 or 3 channels, got 4: set brightness"),
        ({"method__view__mean": "(0.5,0.5,0.5)"}, "one number"),
    ],
)
def test_what_does_not_fit_the_channels_is_told(tmp_path, images, capsys, changes, sentence):
    assert main.main(_command(tmp_path, images, **changes)) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence in told


@pytest.mark.parametrize("cache", ["none", "device"])
def test_what_a_method_does_not_use_does_no_harm(tmp_path, cache):
    generator = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for k in range(16):
            pixels = generator.integers(0, 5, (9, 9), np.uint8)
            cv2.imwrite(str(tmp_path / "data" / kind / f"{k}.png"), pixels)
    changes = dict(data__channels=1, data__cache=cache, data__mask_classes=5)
    assert main.main(_command(tmp_path, tmp_path / "data", **changes)) == 0
