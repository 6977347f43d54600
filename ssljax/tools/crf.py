"""Brings an annotation, painted roughly or by a network, in line with the edges of its image.

python -m ssljax.tools.crf --image im1.png --annotation anno1.png --out out1.png

Each colour of the annotation is a class. Black is none: where it is painted anything may be. Every
pixel of the result has the colour of one class. Parameters and result are by default those of the
example script of pydensecrf, `examples/inference.py`. In terms of the energy that the dense CRF of
Krähenbühl and Koltun (2011) minimises, the classes' energy at a pixel is the negative logarithm of
their probability, and two kernels save energy where pixels have the same class: one where they are
near, and one where they are near and of like colour.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, UInt8

from ssljax.errors import UserError
from ssljax.ops.crf import (
    EXAMPLE,
    METHODS,
    NORMALIZATIONS,
    Kernel,
    dense_crf,
    unary_from_labels,
)
from ssljax.tools import command, images

_CERTAINTY, _ITERATIONS, _MOST_CLASSES = 0.7, 5, 255
_COLOR_OF_NONE = 0


def read_classes(
    annotation: UInt8[np.ndarray, "height width 3"], name: str
) -> tuple[Int[np.ndarray, "height width"], UInt8[np.ndarray, "classes 3"]]:
    """Takes each colour for a class.

    Args:
      annotation: Painted in a few colours; black where nothing is known.
      name: What it is called when it is told about.

    Returns:
      The class of each pixel, -1 where nothing is known, and the classes' colours, in the order of
      red, then green, then blue.

    Raises:
      UserError: If there are fewer than two classes, or more than 255.
    """
    codes = annotation.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    found, labels = np.unique(codes, return_inverse=True)
    labels = labels.reshape(codes.shape)
    if found[0] == _COLOR_OF_NONE:
        found, labels = found[1:], labels - 1
    if len(found) < 2:
        raise UserError(
            f"{name} has too few colours ({len(found)} besides black): paint at least two classes, "
            "each in one colour."
        )
    if len(found) > _MOST_CLASSES:
        raise UserError(
            f"{name} has {len(found):,} colours, and each is taken for a class, of which there may "
            f"be {_MOST_CLASSES}: paint without soft edges, and store it without loss."
        )
    colors = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.uint8)
    return labels, colors


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
    images.check_target(options.out)
    _check_numbers(options)
    image = images.read_image(options.image, channels=3)
    annotation = images.read_image(options.annotation, channels=3)
    images.check_same_size(
        image=(options.image, image), annotation=(options.annotation, annotation)
    )
    labels, colors = read_classes(annotation, options.annotation)
    kernels = [
        Kernel(options.near_position, None, options.near_weight, options.normalization),
        Kernel(options.position, options.color, options.weight, options.normalization),
    ]
    unary = unary_from_labels(jnp.asarray(labels), len(colors), options.certainty)
    start = time.perf_counter()
    try:
        probabilities = dense_crf(unary, image, kernels, options.iterations, options.method)
    except ValueError as error:
        raise UserError(str(error)) from error
    best = np.argmax(np.asarray(probabilities), axis=2)
    seconds = time.perf_counter() - start
    images.write_image(options.out, colors[best])
    unknown = f", {np.mean(labels < 0):.0%} of the pixels unknown" if labels.min() < 0 else ""
    print(f"{len(colors)} classes{unknown}; {seconds:.1f} s; wrote {options.out}")


def _check_numbers(options: argparse.Namespace) -> None:
    if not 0 < options.certainty < 1:
        raise UserError(f"--certainty is {options.certainty}; it must lie between 0 and 1.")
    if options.iterations < 0:
        raise UserError(f"--iterations is {options.iterations}; it must be 0 or more.")
    for name in ("near_position", "position", "color"):
        if not 0 < getattr(options, name) < np.inf:
            raise UserError(f"--{name} is {getattr(options, name)}; it must be above 0.")
    for name in ("near_weight", "weight"):
        if not np.isfinite(getattr(options, name)):
            raise UserError(f"--{name} is {getattr(options, name)}; it must be finite.")


def _parser() -> argparse.ArgumentParser:
    near, alike = EXAMPLE
    parser = argparse.ArgumentParser(
        prog="python -m ssljax.tools.crf",
        description=f"{__doc__.splitlines()[0]} Dense CRF with two Gaussian kernels.",
    )
    parser.add_argument("--image", required=True, help="the photograph")
    parser.add_argument(
        "--annotation",
        required=True,
        help="of its size, a colour for each class, black where the class is unknown",
    )
    parser.add_argument("--out", required=True, help="the PNG file to write")
    numbers = {
        "certainty": (
            _CERTAINTY,
            "probability that the annotation is right where it names a class, between 0 and 1",
        ),
        "near_position": (
            near.position,
            "kernel of positions: standard deviation in pixels",
        ),
        "near_weight": (
            near.compatibility,
            "kernel of positions: energy saved among pixels of one class, in nats",
        ),
        "position": (
            alike.position,
            "kernel of positions and colours: standard deviation of the position in pixels",
        ),
        "color": (
            alike.color,
            "likewise: that of red, green and blue, in levels from 0 to 255",
        ),
        "weight": (
            alike.compatibility,
            "likewise: energy saved among pixels of one class, in nats",
        ),
    }
    for name, (default, told) in numbers.items():
        parser.add_argument(
            f"--{name}",
            type=float,
            metavar="X",
            default=default,
            help=f"{told} ({default:g})",
        )
    parser.add_argument(
        "--iterations",
        type=int,
        default=_ITERATIONS,
        help=f"mean-field iterations, 0 or more ({_ITERATIONS})",
    )
    parser.add_argument(
        "--normalization",
        choices=NORMALIZATIONS,
        default="symmetric",
        help="how sums over neighbours are divided by their number",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="lattice",
        help="lattice: time grows with the pixels; exact: with their square",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
