"""What the command line reports in one sentence: mistakes of the user, refusals of the system."""

import errno
import pathlib
import shutil
import tempfile
from pathlib import PurePath

_STORES = ("gcsfs", "google", "s3fs", "aiobotocore", "botocore", "aiohttp", "requests")
"""Libraries by which buckets are read, as far as they have errors of their own."""


class UserError(Exception):
    """A mistake in the user's input, reported in one sentence.

    The message says what is wrong, where, and what to do about it. The command line prints it alone
    and exits with status 2; a program that imports ssljax catches it like any other exception.
    """


class StoppedError(Exception):
    """A reason to stop a run that has begun, other than a mistake in its input.

    The command line prints it alone and exits with status 1; what was saved before stays.
    """


class MissingScores(StoppedError):
    """Some scores of a finished evaluation could not be computed; the others are written."""


def is_full(error: Exception) -> bool:
    """Whether an error says that a disk, or a user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def is_refused(error: Exception) -> bool:
    """Whether an error is one of the system, or of a store of buckets or the way to it."""
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or library in _STORES


def refusal(error: Exception, place: PurePath) -> str:
    """Says in one sentence what the system, or a store of buckets, refused.

    Args:
      error: What it raised.
      place: The file or directory that was meant, where the error itself names none.
    """
    named = getattr(error, "filename", None)
    path: PurePath | str = place
    if isinstance(named, str):
        path = named if is_uri(named) else pathlib.Path(named)
    reason = getattr(error, "strerror", None) or brief(error)
    if is_full(error):
        # What is bound for a bucket is written to the disk first.
        disk = pathlib.Path(tempfile.gettempdir()) if is_uri(path) else pathlib.Path(path)
        where = f" in {disk}" if is_uri(path) else ""
        return (
            f"{path} cannot be written ({reason}; {free_space(disk)}{where}): make room and start "
            "again."
        )
    if is_uri(path):
        if isinstance(error, FileNotFoundError):
            reason = "there is no such bucket or object"
        return (
            f"{path} cannot be read or written ({reason}): check the name of the bucket, your "
            "permission there, and the credentials that this machine has for it."
        )
    return (
        f"{path} cannot be read or written ({reason}): check that it exists and that you have "
        "permission."
    )


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def brief(error: Exception) -> str:
    """The same, cut to what fits into a sentence."""
    return first_line(error)[:200].rstrip(".")


def is_uri(path: str | PurePath) -> bool:
    """Whether a path lies in a bucket, as gs://bucket/file does."""
    return "://" in str(path)


def free_space(path: pathlib.Path) -> str:
    """Says how much room there is where a file lies or is to lie."""
    place = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    return f"{shutil.disk_usage(place).free / 1e6:,.1f} MB are free"
