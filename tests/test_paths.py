"""Places on a disk and in buckets: what is written is whole, and what cannot be is told."""

import pathlib

import pytest

from ssljax import paths
from ssljax.errors import UserError


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    paths.write(path, "old")

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        paths.write(path, "new")
    assert path.read_text() == "old"


def test_a_path_on_a_disk_is_absolute_and_of_pathlib(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert paths.resolve("runs/a") == tmp_path / "runs" / "a"
    assert paths.resolve("~/a") == tmp_path / "home" / "a"
    assert isinstance(paths.resolve("a"), pathlib.Path)
    assert not paths.is_remote(paths.resolve("a"))


@pytest.mark.parametrize("uri", ["gs://", "s3:///run", "http://host/run", "ftp://a"])
def test_a_uri_of_another_kind_or_without_a_bucket_is_told(uri):
    with pytest.raises(UserError, match="a path on a disk, or a URI such as gs://bucket/run"):
        paths.resolve(uri)


@pytest.mark.parametrize(("uri", "extra"), [("gs://bucket/run", "gcs"), ("s3://bucket/run", "s3")])
def test_what_is_not_installed_is_named(monkeypatch, uri, extra):
    monkeypatch.setattr(paths.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"{uri}.* needs .*: pip install 'ssljax\[{extra}\]'"):
        paths.resolve(uri)


def test_a_file_is_created_only_where_there_is_none(tmp_path):
    paths.create(tmp_path / "lock", "first")
    with pytest.raises(FileExistsError):
        paths.create(tmp_path / "lock", "second")
    assert (tmp_path / "lock").read_text() == "first"
