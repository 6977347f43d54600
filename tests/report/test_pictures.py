"""Pictures: where each image lies, and files that lose nothing."""

import cv2
import numpy as np
import pytest

from ssljax import report


def _images(count, height=2, width=3, channels=3):
    shape = (count, height, width, channels)
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


def test_images_lie_in_rows_with_white_between_them_and_none_around():
    images = _images(5)
    picture = report.grid(images, columns=2, gap=4)
    assert picture.shape == (3 * 2 + 2 * 4, 2 * 3 + 4, 3)
    left = picture.copy()
    for number, (y, x) in enumerate([(0, 0), (0, 7), (6, 0), (6, 7), (12, 0)]):
        assert np.array_equal(picture[y : y + 2, x : x + 3], images[number])
        left[y : y + 2, x : x + 3] = 255
    # No image has white, so all else is white, the sixth place too.
    assert (left == 255).all()


def test_a_grid_of_one_image_is_the_image():
    image = _images(1)
    assert np.array_equal(report.grid(image, columns=1), image[0])


def test_pictures_stand_side_by_side():
    one, two = _images(1)[0], _images(1, width=5)[0]
    both = report.beside([one, two], gap=2)
    assert np.array_equal(both[:, :3], one)
    assert (both[:, 3:5] == 255).all()
    assert np.array_equal(both[:, 5:], two)


def test_below_the_lower_of_two_pictures_is_white():
    one, two = _images(1)[0], _images(1)[0][:1]
    both = report.beside([one, two], gap=2)
    assert np.array_equal(both[:, :3], one)
    assert np.array_equal(both[:1, 5:], two)
    assert (both[1:, 5:] == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_holds_the_very_pixels_red_first(channels):
    picture = _images(1, 4, 5, channels)[0]
    encoded = np.frombuffer(report.encode_png(picture), np.uint8)
    read = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read.reshape(4, 5, channels)[..., ::-1], picture)


def test_a_writer_of_pictures_keeps_each_step_and_is_silent_in_other_processes(tmp_path):
    picture = _images(1, 4, 5)[0]
    for enabled in (False, True):
        writer = report.MetricWriter(tmp_path / str(enabled), enabled=enabled)
        writer.write_pictures(7, {"samples": picture})
        writer.write_pictures(9, {"samples": picture})
        writer.close()
    assert not (tmp_path / "False").exists()
    names = sorted(path.name for path in (tmp_path / "True" / "pictures").iterdir())
    assert names == ["samples_7.png", "samples_9.png"]
    (events,) = (tmp_path / "True" / "tensorboard").iterdir()
    assert events.read_bytes().count(report.encode_png(picture)) == 2


def test_figures_are_written_as_they_are_one_row_a_score():
    table = report.figure_table(
        {"reals": {"fid": 0.5, "kid": 1e-4, "kid_std": 2e-5}, "ours": {"fid": 123.456, "is": 2.0}}
    )
    assert table.splitlines() == [
        "| score |          reals |  ours |",
        "| ----- | -------------: | ----: |",
        "| fid   |            0.5 | 123.5 |",
        "| kid   | 0.0001 ± 2e-05 |       |",
        "| is    |                |     2 |",
    ]
