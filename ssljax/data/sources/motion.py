"""How much moves in each frame of prepared videos."""

import csv
import io

from ssljax import paths
from ssljax.errors import UserError

MOTION_FILE = "motion.csv"
"""Lies beside the splits of frames."""

MOTION_HEADER = ("frame", "motion")
"""Its columns: the path of a frame, and the mean motion from it to the next, in pixels."""


def read_motion(directory: paths.Path) -> dict[str, float]:
    """Reads how much moves from each frame of a directory to the next one.

    Args:
      directory: Of the frames.

    Returns:
      Pixels, by the path of the frame below the directory.

    Raises:
      UserError: There is no such file, or it is not as it should be.
    """
    file = directory / MOTION_FILE
    if not file.exists():
        raise UserError(
            f"There is no {file}, which config.data.motion needs: prepare the videos by `python -m "
            "ssljax.tools.prepare_video` and name its folder `frames` in config.data.dir, or set "
            "config.data.motion to 0."
        )
    rows = csv.reader(io.StringIO(paths.read(file).decode()))
    if tuple(next(rows, ())) != MOTION_HEADER:
        raise UserError(f"{file} does not begin with {','.join(MOTION_HEADER)}: prepare it again.")
    try:
        return {frame: float(score) for frame, score in rows}
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}): prepare the videos again.") from error
