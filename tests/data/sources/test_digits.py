"""The digits of scikit-learn as a TFDS set that is prepared without TensorFlow."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ssljax.data import decode, open_source, prepare_digits
from ssljax.errors import UserError


def test_digits_are_those_of_scikit_learn(digits_dir):
    digits = load_digits()
    expected = np.rint(digits.images * 255 / 16).astype(np.uint8)
    for split, rows in (("train", slice(0, 1400)), ("test", slice(1400, 1797))):
        source = open_source("digits", split, digits_dir)
        assert (len(source), source.num_classes) == (rows.stop - rows.start, 10)
        got = sorted(
            (decode(r["image"], channels=1, image_size=8).tobytes(), r["label"])
            for r in source.read_many(range(len(source)))
        )
        want = [
            (x.tobytes(), int(y)) for x, y in zip(expected[rows], digits.target[rows], strict=True)
        ]
        assert got == sorted(want)


def test_digits_are_written_to_the_cache_directory(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    open_source("digits", "train")
    assert (tmp_path / "ssljax" / "digits" / "1.0.0" / "dataset_info.json").exists()
    assert capfd.readouterr() == ("", "")


def test_a_directory_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"digits cannot be written.*config\.data\.dir"):
        prepare_digits(tmp_path / "file")


# Each process waits inside the preparation until the other one is there as well.
_RACE = """
import pathlib, sys, time
from sklearn import datasets
from ssljax.data import load_all, open_source
root, me = pathlib.Path(sys.argv[1]), sys.argv[2]
load = datasets.load_digits
def load_together():
    (root / f"started-{me}").touch()
    deadline = time.monotonic() + 60
    while len(list(root.glob("started-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    return load()
datasets.load_digits = load_together
source = open_source("digits", "test", root)
batch = load_all(source, image_size=8, channels=1)
print(len(batch["image"]), int(batch["label"].sum()), "tensorflow" in sys.modules)
"""


def test_two_processes_prepare_at_once_without_tensorflow(tmp_path):
    def start(me):
        return subprocess.Popen(
            [sys.executable, "-c", _RACE, str(tmp_path), me],
            env=os.environ | {"PYTHONPATH": os.getcwd()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    processes = [start("a"), start("b")]
    results = [p.communicate(timeout=120) for p in processes]
    labels = int(load_digits().target[1400:].sum())
    for process, (out, err) in zip(processes, results, strict=True):
        assert process.returncode == 0, err
        assert out.split() == ["397", str(labels), "False"]
    assert [p.name for p in (tmp_path / "digits").iterdir()] == ["1.0.0"]
    assert {p.name for p in tmp_path.glob("started-*")} == {"started-a", "started-b"}
