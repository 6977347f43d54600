"""From an image and an annotation to a label for every pixel."""

import cv2
import numpy as np
import pytest

from ssljax.errors import UserError
from ssljax.tools import crf

RED, GREEN = (200, 10, 10), (10, 200, 10)


def _write(path, pixels):
    assert cv2.imwrite(str(path), np.asarray(pixels, np.uint8)[..., ::-1])
    return str(path)


@pytest.fixture(name="files")
def _files(tmp_path):
    """An image of two halves, and a stroke in each of them."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 3:] = 200
    annotation = np.zeros((8, 8, 3), np.uint8)
    annotation[4, :2], annotation[2:4, 6] = RED, GREEN
    return {
        "image": _write(tmp_path / "image.png", image),
        "annotation": _write(tmp_path / "annotation.png", annotation),
        "out": str(tmp_path / "new" / "out.png"),
    }


def _main(files, **changes):
    options = files | changes
    return crf.main([f"--{name}={value}" for name, value in options.items()])


def test_strokes_fill_what_they_lie_in(files, capsys):
    assert _main(files, color=20) == 0
    found = cv2.imread(files["out"])[..., ::-1]
    expected = np.full((8, 8, 3), RED)
    expected[:, 3:] = GREEN
    np.testing.assert_array_equal(found, expected)
    told = capsys.readouterr().out
    assert "2 classes, 94% of the pixels unknown" in told
    assert files["out"] in told


def test_without_iterations_the_annotation_stays(files, tmp_path):
    full = np.full((8, 8, 3), RED)
    full[:5] = GREEN
    annotation = _write(tmp_path / "full.png", full)
    assert _main(files, annotation=annotation, iterations=0, method="exact") == 0
    np.testing.assert_array_equal(cv2.imread(files["out"])[..., ::-1], full)


def test_colors_become_classes():
    painted = np.array([[GREEN, (0, 0, 0)], [RED, GREEN]], np.uint8)
    labels, colors = crf.read_classes(painted, "it")
    np.testing.assert_array_equal(labels, [[0, -1], [1, 0]])
    np.testing.assert_array_equal(colors, [GREEN, RED])
    # Without black nothing is unknown.
    labels, _ = crf.read_classes(painted[:, :1], "it")
    np.testing.assert_array_equal(labels, [[0], [1]])


def test_255_classes_are_allowed_and_256_are_not():
    codes = np.arange(256)
    painted = np.stack([codes, 0 * codes, 0 * codes], axis=1)[None].astype(np.uint8)
    assert len(crf.read_classes(painted, "it")[1]) == 255
    painted[0, 0, 1] = 1
    with pytest.raises(UserError, match="256 colours"):
        crf.read_classes(painted, "it")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": "none.png"}, "none.png cannot be read or written"),
        ({"image": __file__}, "test_crf.py cannot be read as an image"),
        ({"out": "out.jpg"}, "out.jpg does not end in .png"),
        ({"certainty": 1.0}, "--certainty is 1.0"),
        ({"iterations": -1}, "--iterations is -1"),
        ({"color": 0}, "--color is 0.0"),
        ({"weight": "nan"}, "--weight is nan"),
        ({"color": 1e-5, "position": 1e-5}, "too many to be numbered"),
    ],
)
def test_mistakes_are_told_in_a_sentence(files, capsys, changes, told):
    assert _main(files, **changes) == 2
    message = capsys.readouterr().err
    assert told in message
    assert message.count("\n") == 1


def test_other_sizes_and_too_few_colors_are_told(files, capsys, tmp_path):
    wide = _write(tmp_path / "wide.png", np.zeros((8, 9, 3)))
    assert _main(files, annotation=wide) == 2
    assert "image.png 8 x 8 and" in capsys.readouterr().err
    black = _write(tmp_path / "black.png", np.zeros((8, 8, 3)))
    assert _main(files, annotation=black) == 2
    assert "too few colours (0 besides black)" in capsys.readouterr().err
