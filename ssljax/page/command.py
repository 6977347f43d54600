"""The command line of the page."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence

from ssljax import page, paths
from ssljax.errors import UserError, is_refused, refusal

_USAGE_STATUS = 2
_DESCRIPTION = (
    "Writes one HTML file that shows a run, or several beside each other: settings, curves, "
    "scores, pictures, and what is wrong with them in words."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Those after the program's name; by default the command line's.

    Returns:
      The exit status: 0, or 2 after a mistake in the input.
    """
    parser = argparse.ArgumentParser(prog="python -m ssljax.report", description=_DESCRIPTION)
    parser.add_argument("workdirs", metavar="DIR", nargs="+", help="the --workdir of a run")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the page; by default report.html in DIR, or, of several, in the current directory",
    )
    options = parser.parse_args(arguments)
    place: paths.Path = pathlib.Path(options.out or ".")
    try:
        workdirs = [paths.resolve(place) for place in options.workdirs]
        place = paths.resolve(options.out) if options.out else workdirs[0]
        print(page.write(workdirs, place if options.out else None))
    except UserError as error:
        told = str(error)
    except Exception as error:
        if not is_refused(error):
            raise
        told = refusal(error, place)
    else:
        return 0
    print(f"ssljax: {told}", file=sys.stderr)
    return _USAGE_STATUS
