"""Where a user's files lie: on a disk, or in a bucket (`gs://bucket/...`, `s3://bucket/...`).

A path on a disk is a `pathlib.Path`, and one in a bucket an `etils.epath.Path`, which has most of
its methods. What differs between the two is here. A bucket has no directories to make and nothing
in it can be appended to or renamed, but whatever is put there is whole at once.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import pathlib
import tempfile
from typing import Any, TypeAlias

import fsspec
from etils import epath

from ssljax.errors import UserError, is_refused, refusal

Path: TypeAlias = pathlib.Path | epath.Path
"""On a disk, or in a bucket."""

_log = logging.getLogger(__name__)
_EXTRAS = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}
"""By scheme: the package that is needed, and the extra of ssljax that installs it."""
_PROTOCOLS = ("gs", "gcs", "s3")


def resolve(text: str | os.PathLike[str]) -> Path:
    """The absolute path that a user means, on a disk or in a bucket.

    Args:
      text: What the user gave: a path, "~" included, or a URI that begins with gs:// or s3://.

    Raises:
      UserError: If the URI is of another kind or names no bucket, if what is needed to read it is
        not installed, or if the store refuses to show what lies there.
    """
    name = os.fspath(text)
    scheme, mark, rest = name.partition("://")
    if not mark:
        return pathlib.Path(name).expanduser().absolute()
    if scheme not in _EXTRAS or rest[:1] in ("", "/"):
        raise UserError(
            f"{name!r} cannot be read: a place is a path on a disk, or a URI such as gs://bucket/"
            "run or s3://bucket/run."
        )
    package, extra = _EXTRAS[scheme]
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{name!r} needs {package}: pip install 'ssljax[{extra}]'.")
    _prepare_stores()
    path = epath.Path(name)
    store, key = files(path)
    try:
        store.find(f"{key}/lock.json")  # A missing bucket is an error, an empty one is not.
    except Exception as error:
        if is_refused(error):
            raise UserError(refusal(error, path)) from error
        raise
    return path


@functools.cache
def _prepare_stores() -> None:
    """Settings that the libraries take from the process."""
    # A cached listing would hide what another process has written since.
    for protocol in _PROTOCOLS:
        fsspec.config.conf.setdefault(protocol, {})["use_listings_cache"] = False
    # With TensorFlow installed, epath would read buckets through it.
    os.environ.setdefault("EPATH_USE_TF", "false")


def is_remote(path: Path) -> bool:
    """Whether a path lies in a bucket."""
    return not isinstance(path, pathlib.Path)


def files(path: Path) -> tuple[Any, str]:
    """The file system of fsspec that a path lies in, and its name there."""
    return fsspec.core.url_to_fs(str(path))


def make_directory(path: Path) -> None:
    """Makes a directory and those above it; in a bucket there are none to make."""
    if not is_remote(path):
        path.mkdir(parents=True, exist_ok=True)


def write(path: Path, content: str | bytes) -> None:
    """Replaces a file as a whole: a kill or a full disk in between leaves the old one."""
    data = content.encode() if isinstance(content, str) else content
    if is_remote(path):
        store, key = files(path)
        store.pipe_file(key, data)
        return
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(data)
    beside.replace(path)


def read(path: Path) -> bytes:
    """Reads a file whole, in one request."""
    if is_remote(path):
        store, key = files(path)
        content: bytes = store.cat_file(key)
        return content
    return path.read_bytes()


def create(path: Path, content: str) -> None:
    """Writes a file where there is none.

    Google Cloud Storage and S3 are asked to write only if there is none (`ifGenerationMatch=0`,
    `If-None-Match: *`); where a store does not support that, the log says so.

    Raises:
      FileExistsError: If there is one.
    """
    if is_remote(path):
        _create_object(path, content.encode())
        return
    with path.open("x") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:  # A full disk.
            path.unlink()
            raise


def _create_object(path: Path, content: bytes) -> None:
    store, key = files(path)
    try:
        store.pipe_file(key, content, mode="create")
    except FileExistsError:
        raise
    except (NotImplementedError, OSError) as error:
        # Libraries lack the precondition, or a store like S3 answers that it does not know it.
        if not isinstance(error, NotImplementedError) and "not implemented" not in str(error):
            raise
        if store.exists(key):
            raise FileExistsError(f"{path} exists") from error
        store.pipe_file(key, content)
        _log.warning(
            "The store of %s cannot write a file only where there is none: of two runs that start "
            "there within a second both would train.",
            path,
        )


def children(directory: Path) -> list[str]:
    """The names of what lies in a directory, in order; none where there is no directory."""
    if not is_remote(directory):
        return sorted(os.listdir(directory)) if directory.is_dir() else []
    store, key = files(directory)
    try:
        found = store.ls(key, detail=False)
    except FileNotFoundError:
        return []
    return sorted({name.rstrip("/").rpartition("/")[2] for name in found if name != key})


def folders(directory: Path) -> list[str]:
    """The names of the directories in one that is there, in order."""
    if not is_remote(directory):
        return sorted(path.name for path in directory.iterdir() if path.is_dir())
    store, key = files(directory)
    found = (about for about in store.ls(key, detail=True) if about["type"] == "directory")
    return sorted(about["name"].rstrip("/").rpartition("/")[2] for about in found)


def move(source: Path, target: Path) -> None:
    """Renames a file or a directory.

    In a bucket everything is copied and then removed: an interruption loses nothing.
    """
    if not is_remote(source):
        source.rename(target)
        return
    store, key = files(source)
    names, new = store.find(key), files(target)[1]
    for name in names:
        store.cp_file(name, new + name.removeprefix(key))
    for name in names:
        store.rm_file(name)


def remove(path: Path) -> None:
    """Removes from a bucket what lies there, if anything does: an object, or all below a name."""
    store, key = files(path)
    with contextlib.suppress(FileNotFoundError):
        store.rm(key, recursive=True)


def upload(file: pathlib.Path, target: Path) -> None:
    """Copies a file from a disk into a bucket."""
    store, key = files(target)
    store.put_file(str(file), key)


def local_copy(path: Path) -> pathlib.Path:
    """A copy on this machine's disk of what lies in a bucket, made once; a path on a disk itself.

    Copies are kept in `ssljax/buckets` in the user's cache directory (`XDG_CACHE_HOME`), under the
    name that they have in the bucket. Several processes may ask for one at the same time.

    Args:
      path: A file, or a directory with all below it, that does not change.
    """
    if not is_remote(path):
        return pathlib.Path(path)
    store, key = files(path)
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    place = cache / "ssljax" / "buckets" / str(path).replace("://", "/")
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    _log.info("Copying %s to %s, once.", path, place)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as made:
        if store.isfile(key):
            beside = pathlib.Path(made) / place.name
            store.get_file(key, str(beside))
        else:
            beside = pathlib.Path(made) / "directory"
            store.get(f"{key}/", f"{beside}/", recursive=True)
        try:
            os.rename(beside, place)
        except OSError:  # Another process has made it in the meantime.
            if not place.exists():
                raise
    return place
