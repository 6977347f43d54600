"""Translations of a folder: the network's own, under the names of the images, or one sentence."""

import cv2
import numpy as np
import pytest
import runs
import unpaired

from ssljax import evaluate, main
from ssljax.run.experiment import Experiment

WAY = "photos to paintings"


@pytest.fixture(autouse=True, scope="module")
def listed():
    with unpaired.listed():
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of one step, and the images that it is trained on."""
    folder = tmp_path_factory.mktemp("runs")
    images = unpaired.paint(folder / "images")
    assert main.main(unpaired.arguments(folder, images, steps=1)) == 0
    return folder, images


@pytest.fixture
def command(trained):
    def arguments(asked, *options, **changes):
        folder, images = trained
        changes = {"steps": 1, "translate__dir": asked, "translate__way": WAY} | changes
        return [*unpaired.arguments(folder, images, **changes), "--mode=translate", *options]

    return arguments


@pytest.fixture
def asked(tmp_path):
    """Twenty images of another size, some of them in a folder of the folder."""
    rng = np.random.default_rng(1)
    (tmp_path / "asked" / "more").mkdir(parents=True)
    for number in range(20):
        name = f"more/{number}.png" if number < 3 else f"{number}.bmp"
        image = np.repeat(np.repeat(rng.integers(0, 256, (8, 8), np.uint8), 2, 0), 3, 1)
        cv2.imwrite(str(tmp_path / "asked" / name), image)
    return tmp_path / "asked"


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def to_bytes(images):
    return np.clip(np.round(127.5 * (images + 1)), 0, 255)


def told(arguments, capsys):
    capsys.readouterr()
    assert main.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    (sentence,) = [line for line in lines if not line.startswith(("I ", "W "))]
    return sentence


def generators(trained):
    """The networks of the run's checkpoint, from photos to paintings and back."""
    folder, images = trained
    config = main.parse(unpaired.arguments(folder, images, steps=1)).config
    state = evaluate.newest_state(Experiment(config), folder / "run")
    found = state.params["generators"]
    return np.asarray(found["paintings"], np.float64), np.asarray(found["photos"], np.float64)


def test_every_image_is_translated_there_and_back_under_its_name(trained, command, asked):
    assert main.main(command(asked)) == 0
    top = trained[0] / "run" / "translated" / "1"
    written = {path.relative_to(top).as_posix() for path in top.rglob("*.png")}
    names = [f"more/{k}" if k < 3 else f"{k}" for k in range(20)]
    folder = "photos_to_paintings"
    assert written == {f"{folder}.png"} | {
        f"{folder}/{name}{end}.png" for name in names for end in ("", "_cycle")
    }
    there, back = generators(trained)
    for name in names:
        file = next(asked.glob(f"{name}.*"))
        small = read(file)[::2, ::3].reshape(-1)  # Each pixel was repeated, so nothing is mixed.
        made = (small / 127.5 - 1) @ there
        translated = read(top / folder / f"{name}.png").reshape(-1).astype(np.float64)
        assert np.max(np.abs(translated - to_bytes(made))) <= 1
        cycle = to_bytes((translated / 127.5 - 1) @ back)
        assert np.max(np.abs(read(top / folder / f"{name}_cycle.png").reshape(-1) - cycle)) <= 1
    grid = read(top / f"{folder}.png")
    assert grid.shape == (8 * 9 - 1, 3 * 9 - 1)
    first = sorted(path.relative_to(asked).as_posix() for path in asked.rglob("*.*"))[0]
    assert np.array_equal(grid[:8, :8], read(asked / first)[::2, ::3])
    stem = first.rpartition(".")[0]
    assert np.array_equal(grid[:8, 9:17], read(top / folder / f"{stem}.png"))
    assert np.array_equal(grid[:8, 18:26], read(top / folder / f"{stem}_cycle.png"))


def test_a_corrupt_image_ends_the_program_or_is_left_out(trained, command, asked, capsys):
    (asked / "9.bmp").write_bytes(b"no image")
    way = dict(translate__way="paintings to photos")
    assert "1 corrupt image, but config.data.max_corrupt allows 0" in told(
        command(asked, **way), capsys
    )
    assert main.main(command(asked, **way, data__max_corrupt=1)) == 0
    top = trained[0] / "run" / "translated" / "1" / "paintings_to_photos"
    assert not (top / "9.png").exists()
    assert (top / "8.png").exists()


def test_what_cannot_be_translated_is_told(trained, command, asked, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for arguments, wanted in (
        (command(""), "reads a folder of images: name it in config.translate.dir"),
        (command(tmp_path / "none"), "There is no directory"),
        (command(tmp_path / "empty"), "holds no images: put files that end in"),
        (
            command(asked, translate__way="A to B"),
            "'A to B' is none of the method's translations: there are 'paintings to photos', ",
        ),
        (command(asked, f"--workdir={tmp_path / 'other'}"), "There is no checkpoint"),
        (
            [*runs.arguments(tmp_path / "simclr", translate__dir=asked), "--mode=translate"],
            "The method simclr translates no images",
        ),
    ):
        assert wanted in told(arguments, capsys)
    cv2.imwrite(str(asked / "8_cycle.png"), np.zeros((8, 8), np.uint8))
    assert "Two images would have translations of the name 8_cycle.png" in told(
        command(asked), capsys
    )
