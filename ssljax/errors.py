"""What the command line reports in one sentence: mistakes of the user, refusals of the system."""

import errno
import pathlib
import shutil


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


def is_full(error: OSError) -> bool:
    """Whether a disk, or a user's share of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def refusal(error: OSError, place: pathlib.Path) -> str:
    """Says in one sentence what the system refused.

    Args:
      error: What it raised.
      place: The file or directory that was meant, where the error itself names none.
    """
    path = pathlib.Path(error.filename if isinstance(error.filename, str) else place)
    reason = error.strerror or str(error) or type(error).__name__
    if not is_full(error):
        return (
            f"{path} cannot be read or written ({reason}): check that it exists and that you have "
            "permission."
        )
    return (
        f"{path} cannot be written ({reason}; {free_space(path)}): make room and start again, to "
        "go on from the last checkpoint."
    )


def free_space(path: pathlib.Path) -> str:
    """Says how much room there is where a file lies or is to lie."""
    place = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    return f"{shutil.disk_usage(place).free / 1e6:,.1f} MB are free"
