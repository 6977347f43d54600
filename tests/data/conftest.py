"""Small data that the tests of this folder share."""

import cv2
import numpy as np
import pytest

from ssljax.data import prepare_digits


@pytest.fixture(scope="session")
def digits_dir(tmp_path_factory):
    """A directory that holds the prepared digits."""
    directory = tmp_path_factory.mktemp("tfds")
    prepare_digits(directory)
    return directory


@pytest.fixture
def jpegs(tmp_path):
    """Six JPEGs in two class folders; the blue channel of a flat image tells which one it is."""
    for k in range(6):
        folder = tmp_path / "images" / ("cat" if k < 3 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{k}.jpg"), np.full((20, 24, 3), 40 * k, np.uint8))
    return tmp_path / "images"
