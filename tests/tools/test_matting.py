"""From an image and a trimap to opacities and a cutout."""

import cv2
import numpy as np
import pytest

from ssljax.tools import matting

FRONT, BACK = np.array([230, 60, 30]), np.array([20, 80, 200])


def _write(path, pixels):
    assert cv2.imwrite(str(path), np.asarray(pixels, np.uint8)[..., ::-1])
    return str(path)


@pytest.fixture(name="alpha")
def _alpha():
    return np.tile(np.clip((np.arange(24) - 8) / 8, 0, 1), (20, 1))


@pytest.fixture(name="files")
def _files(tmp_path, alpha):
    """A ramp from one colour to another, and the trimap of it."""
    image = np.rint(alpha[..., None] * FRONT + (1 - alpha[..., None]) * BACK)
    trimap = np.where(alpha == 0, 0, np.where(alpha == 1, 255, 128))[..., None]
    return {
        "image": _write(tmp_path / "image.png", image),
        "trimap": _write(tmp_path / "trimap.png", trimap),
        "out": str(tmp_path / "new" / "alpha.png"),
    }


def _main(files, **changes):
    return matting.main([f"--{name}={value}" for name, value in (files | changes).items()])


def test_opacity_and_cutout_are_written(files, alpha, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(matting, "_QUIET_S", 0.0)
    cutout = str(tmp_path / "cutout.png")
    assert _main(files, cutout=cutout) == 0
    found = cv2.imread(files["out"], cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(found, 255 * alpha, atol=3)
    layers = cv2.imread(cutout, cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3]]
    np.testing.assert_array_equal(layers[..., 3], found)
    front = layers[..., :3][alpha > 0.3]
    np.testing.assert_allclose(front, np.broadcast_to(FRONT, front.shape), atol=8)
    told = capsys.readouterr().out
    assert "140 of 480 pixels unknown, which takes 0 MB" in told
    assert "iteration 1: residual" in told
    assert told.endswith(f"wrote {files['out']} and {cutout}\n")


@pytest.mark.parametrize(
    ("level", "told"), [(0, "no foreground"), (255, "no background"), (128, "no foreground")]
)
def test_a_trimap_of_one_class_is_told(files, tmp_path, capsys, level, told):
    trimap = _write(tmp_path / "one.png", np.full((20, 24, 1), level))
    assert _main(files, trimap=trimap) == 2
    assert f"one.png has {told}" in capsys.readouterr().err


def test_a_trimap_without_unknown_pixels_is_told(files, tmp_path, alpha, capsys):
    trimap = _write(tmp_path / "hard.png", 255 * (alpha[..., None] > 0.5))
    assert _main(files, trimap=trimap) == 2
    assert "hard.png has no unknown pixels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": "none.png"}, "none.png cannot be read or written"),
        ({"trimap": __file__}, "test_matting.py cannot be read as an image"),
        ({"out": "alpha.jpg"}, "alpha.jpg does not end in .png"),
        ({"cutout": "cut.gif"}, "cut.gif does not end in .png"),
        ({"epsilon": 0}, "--epsilon is 0.0"),
        ({"tolerance": 1e-30, "max_iterations": 2}, "after 2 iterations"),
    ],
)
def test_mistakes_are_told_in_a_sentence(files, capsys, changes, told):
    assert _main(files, **changes) == 2
    message = capsys.readouterr().err
    assert told in message
    assert message.count("\n") == 1


def test_other_sizes_are_told(files, tmp_path, capsys):
    trimap = _write(tmp_path / "wide.png", np.zeros((20, 25, 1)))
    assert _main(files, trimap=trimap) == 2
    assert "--image and --trimap must have the same size" in capsys.readouterr().err
