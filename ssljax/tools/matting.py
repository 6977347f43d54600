"""Cuts a foreground out of a photograph, hair and fur included.

python -m ssljax.tools.matting --image photo.png --trimap trimap.png --out alpha.png

The trimap is white where all is foreground, black where all is background, and grey where that is
to be found out. What is written is the opacity of the foreground, white for 1, by closed-form
matting (Levin et al., 2008); with `--cutout` also the foreground's own colours, with the opacity as
alpha channel. Memory grows with the unknown pixels, by 1 kB each, and for the cutout with all
pixels, by 300 bytes each.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from ssljax.errors import UserError
from ssljax.ops.conjugate_gradients import Progress
from ssljax.ops.matting import MAX_ITERATIONS, TOLERANCE, estimate_alpha, estimate_layers
from ssljax.ops.matting_laplacian import EPSILON
from ssljax.tools import command, images

_WHITE = 255
_BLACK_TO, _WHITE_FROM = 0.1, 0.9
_BYTES_OF_UNKNOWN = 1000
_QUIET_S = 5.0
"""Seconds between two lines of progress."""


def read_trimap(
    trimap: UInt8[np.ndarray, "height width 1"], name: str
) -> tuple[Bool[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
    """Takes white for foreground, black for background, and what lies between for unknown.

    Args:
      trimap: Grey levels; up to a tenth of white is black, and from nine tenths on white.
      name: What it is called when it is told about.

    Returns:
      Which pixels are known to be foreground, and which background.

    Raises:
      UserError: If there is no foreground, no background, or nothing unknown.
    """
    level = trimap[..., 0] / _WHITE
    foreground, background = level >= _WHITE_FROM, level <= _BLACK_TO
    for part, color, pixels in (
        ("foreground", "white", foreground),
        ("background", "black", background),
        ("unknown pixels", "grey", ~foreground & ~background),
    ):
        if not pixels.any():
            raise UserError(
                f"{name} has no {part}: paint some of it {color}; a trimap is white, black and "
                "grey between them."
            )
    return foreground, background


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Those after the program's name; by default the command line's.

    Returns:
      The exit status: 0, or 2 after a mistake in the input.
    """
    options = _parser().parse_args(arguments)
    return command.answer(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    for target in filter(None, (options.out, options.cutout)):
        images.check_target(target)
    for name in ("epsilon", "tolerance", "max_iterations"):
        if not 0 < getattr(options, name) < np.inf:
            raise UserError(f"--{name} is {getattr(options, name)}; it must be above 0.")
    image = images.read_image(options.image, channels=3)
    trimap = images.read_image(options.trimap, channels=1)
    images.check_same_size(image=(options.image, image), trimap=(options.trimap, trimap))
    foreground, background = read_trimap(trimap, options.trimap)
    unknown = int(np.sum(~foreground & ~background))
    print(
        f"{unknown:,} of {foreground.size:,} pixels unknown, which takes "
        f"{unknown * _BYTES_OF_UNKNOWN / 1e6:,.0f} MB"
    )
    colors = image / _WHITE
    start = time.perf_counter()
    try:
        alpha = estimate_alpha(
            colors,
            foreground,
            background,
            epsilon=options.epsilon,
            tolerance=options.tolerance,
            max_iterations=options.max_iterations,
            progress=_progress(options.tolerance),
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    opacity = np.rint(_WHITE * alpha).astype(np.uint8)[..., None]
    images.write_image(options.out, opacity)
    written = [options.out]
    if options.cutout:
        front, _ = estimate_layers(colors, alpha)
        front_bytes = np.rint(_WHITE * front).astype(np.uint8)
        images.write_image(options.cutout, np.concatenate([front_bytes, opacity], axis=2))
        written.append(options.cutout)
    print(f"{time.perf_counter() - start:.1f} s; wrote {' and '.join(written)}")


def _progress(tolerance: float) -> Progress:
    """Says every few seconds how far the iterations are."""
    told = time.perf_counter()

    def tell(iteration: int, left: float) -> None:
        nonlocal told
        if time.perf_counter() - told < _QUIET_S:
            return
        told = time.perf_counter()
        print(f"iteration {iteration}: residual {left:.1e}, done at {tolerance:.1e}", flush=True)

    return tell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ssljax.tools.matting",
        description=f"{__doc__.splitlines()[0]} Closed-form matting.",
    )
    parser.add_argument("--image", required=True, help="the photograph")
    parser.add_argument(
        "--trimap",
        required=True,
        help="of its size: white for foreground, black for background, grey for unknown",
    )
    parser.add_argument("--out", required=True, help="the PNG file of the opacity to write")
    parser.add_argument(
        "--cutout", default="", help="the PNG file of the foreground with alpha to write as well"
    )
    parser.add_argument(
        "--epsilon",
        type=float,
        default=EPSILON,
        help=f"regularisation, of squared colours in [0, 1]; more is smoother ({EPSILON:g})",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help=f"part of the residual that may be left ({TOLERANCE:g})",
    )
    parser.add_argument(
        "--max_iterations",
        type=int,
        default=MAX_ITERATIONS,
        help=f"most iterations of conjugate gradients ({MAX_ITERATIONS})",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
