"""The command lines that the tools have in common."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ssljax.errors import StoppedError, UserError

_USAGE_STATUS, _STOPPED_STATUS = 2, 1


def run(
    convert: Callable[[Path, Path], None],
    program: str,
    description: str,
    source: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Converts the file that the command line names.

    Args:
      convert: Reads the first path and writes the second.
      program: The module's name.
      description: What it does, in one line.
      source: What is read.
      arguments: Those after the program's name; by default the command line's.

    Returns:
      The exit status: 0, or 2 after a mistake in the input.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("source", type=Path, help=source)
    parser.add_argument("target", type=Path, help="the .safetensors file to write")
    options = parser.parse_args(arguments)
    return answer(lambda: convert(options.source, options.target))


def answer(work: Callable[[], None]) -> int:
    """Does what the command line asks for, and tells a mistake of the user in one sentence.

    Args:
      work: What is to be done.

    Returns:
      The exit status: 0, 2 after a mistake in the input, or 1 where something is missing.
    """
    try:
        work()
    except (UserError, StoppedError) as error:
        print(error, file=sys.stderr)
        return _USAGE_STATUS if isinstance(error, UserError) else _STOPPED_STATUS
    return 0
