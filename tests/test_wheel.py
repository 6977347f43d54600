"""The wheel, installed into an empty environment: it trains a shipped config by name: `make wheel`.

Building it needs the network, so that the other tests do without it.
"""

import json
import os
import pathlib
import subprocess
import sys
import sysconfig

import cv2
import pytest
import runs
import skimage.data
import sklearn.datasets

from ssljax import catalog

if "WHEEL" not in os.environ:
    pytest.skip("WHEEL does not name a wheel: `make wheel`", allow_module_level=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs Python in an environment and a directory with nothing of the checkout in them."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", os.environ["WHEEL"]]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
    # What it depends on is here already. The checkout is not, as this does not read .pth files.
    paths = sysconfig.get_paths(vars={"base": str(folder / "env")})
    pathlib.Path(paths["purelib"], "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    environment = {key: x for key, x in os.environ.items() if key not in ("PYTHONPATH", "WHEEL")}

    def run(*arguments: str) -> str:
        return subprocess.run(
            [python, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE
        ).stdout.decode()

    return run


def test_the_package_is_the_installed_one(run):
    assert "/env/lib/" in run("-c", "import ssljax; print(ssljax.__file__)")


def test_it_lists_the_configs_of_the_checkout(run):
    assert run("-m", "ssljax.main", "--list") == f"{catalog.table()}\n"


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs")
    command = runs.arguments(
        workdir, "simclr/digits", steps=3, evals__final="('knn',)", log__report=True
    )
    run("-m", "ssljax.main", *command[1:])
    return workdir


def test_it_trains_the_digits_by_name(run, trained):
    metrics = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert max(line["step"] for line in metrics) == 3
    assert (trained / "scores.json").exists()
    (trained / "report.html").unlink()
    assert run("-m", "ssljax.report", str(trained)) == f"{trained / 'report.html'}\n"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of JPEG files of several sizes, two of them below it."""
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "more").mkdir()
    for number, read in enumerate(
        (skimage.data.astronaut, skimage.data.chelsea, skimage.data.coffee)
    ):
        cv2.imwrite(str(folder / f"{number}.jpg"), read()[..., ::-1])
    for number, image in enumerate(sklearn.datasets.load_sample_images().images):
        cv2.imwrite(str(folder / "more" / f"{number}.jpg"), image[..., ::-1])
    return folder


def test_it_embeds_a_folder_of_photographs_in_three_lines(run, trained, photographs):
    code = f"""
import ssljax
model = ssljax.load({str(trained)!r})
rows = model.embed({str(photographs)!r})
print(rows.shape, rows.dtype, len({{row.tobytes() for row in rows}}))"""
    assert run("-c", code) == "(5, 8) float32 5\n"


def test_its_types_are_known_to_checkers(run):
    code = "import importlib.resources as r; print((r.files('ssljax') / 'py.typed').is_file())"
    assert run("-c", code) == "True\n"


def test_it_holds_the_stored_permutations(run):
    code = "from ssljax.ops import permutations; print(permutations.stored_permutations().shape)"
    assert run("-c", code) == "(1000, 9)\n"
