"""Is the dense CRF that of pydensecrf, how near is the lattice to all pairs, and what does it cost?

    python -m benchmarks.crf --examples DIR [--compare 1,2,3] [--lattice 125,250,500,1000,2000]

The directory holds the examples of pydensecrf: `im1.png`, `anno1.png`, `out1.png` and so on. First
their published outputs are made anew. Then the lattice is compared with the exact filter on the
same examples. Last the first of them, brought to squares of several sizes, is inferred by either
method, each time in a new process; a table tells time and memory, and the power of the number of
pixels that they grow with.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable, Collection

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import measured, runs
from ssljax.ops import crf
from ssljax.ops.gaussian import filter_pairs
from ssljax.ops.permutohedral import build_lattice, filter_lattice
from ssljax.report.pictures import beside, encode_png
from ssljax.tools.crf import read_classes
from ssljax.tools.images import read_image

_EXAMPLES = (("1", "1"), ("1", "1-b"), ("2", "2"), ("3", "3"))
"""Number of the image, and of its annotation and output."""
_CERTAINTY = 0.7


def infer(image: np.ndarray, labels: np.ndarray, classes: int, method: str) -> np.ndarray:
    """The probabilities of an example's labels, by the example script's parameters."""
    unary = crf.unary_from_labels(jnp.asarray(labels), classes, _CERTAINTY)
    return np.asarray(crf.dense_crf(unary, image, method=method))


def prepare(directory: str, side: int, method: str) -> Callable[[], None]:
    """Makes the inference of the first example, brought to a square."""
    folder = pathlib.Path(directory)
    image = read_image(str(folder / "im1.png"), 3)
    annotation = read_image(str(folder / "anno1.png"), 3)
    square = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    painted = cv2.resize(annotation, (side, side), interpolation=cv2.INTER_NEAREST)
    labels, colors = read_classes(painted, "the annotation")

    def call() -> None:
        infer(square, labels, len(colors), method)

    return call


def compare_examples(folder: pathlib.Path, out: pathlib.Path, exact: Collection[str]) -> list[str]:
    """A table of the examples, and a picture of each."""
    lines = [
        "| example | pixels | classes | as published | exact: as published | lattice against exact:"
        " mean, largest probability | filter, rms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for number, name in _EXAMPLES:
        image = read_image(str(folder / f"im{number}.png"), 3)
        annotation = read_image(str(folder / f"anno{name}.png"), 3)
        published = read_image(str(folder / f"out{name}.png"), 3)
        labels, colors = read_classes(annotation, name)
        near = infer(image, labels, len(colors), "lattice")
        made = colors[near.argmax(axis=2)]
        picture = beside([image, annotation, made, published])
        (out / f"example{name}.png").write_bytes(encode_png(picture))
        cells = [f"{np.mean((made == published).all(axis=2)):.2%}", "", "", ""]
        if name in exact:
            sure = infer(image, labels, len(colors), "exact")
            same = (colors[sure.argmax(axis=2)] == published).all(axis=2)
            off = abs(near - sure).max(axis=2)
            cells[1:] = [
                f"{np.mean(same):.2%}",
                f"{off.mean():.4f}, {off.max():.2f}",
                f"{filter_error(image, near):.1%}",
            ]
        lines.append(f"| {name} | {labels.size:,} | {len(colors)} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def filter_error(image: np.ndarray, probabilities: np.ndarray) -> float:
    """How far the lattice's weighted means are from the exact ones, in their standard deviations.

    They are means of probabilities by the kernel of positions and colours, over the whole image.
    """
    kernel = crf.EXAMPLE[1]
    features = crf.pixel_features(image, kernel.position, kernel.color)
    flat = probabilities.reshape(len(features), -1)
    values = jnp.asarray(np.concatenate([flat, np.ones_like(flat[:, :1])], axis=1))
    near = np.asarray(jax.jit(filter_lattice)(build_lattice(features), values))
    exact = np.asarray(jax.jit(filter_pairs)(jnp.asarray(features), values))
    near, exact = near[:, :-1] / near[:, -1:], exact[:, :-1] / exact[:, -1:]
    return float(np.sqrt(np.mean((near - exact) ** 2)) / np.std(exact - exact.mean(axis=0)))


def cost(folder: pathlib.Path, method: str, sides: list[int]) -> list[str]:
    """A table of time and memory against the side of a square image."""
    lines = [
        f"| {method}: side | pixels | CPU seconds | seconds | with compilation | memory (MB) | "
        "of it before |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    found = []
    for side in sides:
        each = measured.alone(prepare, str(folder), side, method)
        found.append(each)
        lines.append(
            f"| {side} | {side**2:,} | {each.cpu:.2f} | {each.again:.2f} | {each.first:.2f} | "
            f"{each.peak:.0f} | {each.before:.0f} |"
        )
        print(lines[-1], flush=True)
    pixels = [side**2 for side in sides]
    if len(sides) > 2:
        seconds = measured.exponent(pixels, [each.cpu for each in found])
        # What the program itself takes is in all of them.
        more = [size - pixels[0] for size in pixels[1:]]
        memory = measured.exponent(more, [each.peak - found[0].peak for each in found[1:]])
        lines += [
            "",
            f"Powers of the pixels: CPU seconds {seconds:.2f}, memory beyond the smallest's "
            f"{memory:.2f}.",
        ]
    return lines


def main() -> None:
    """Measures, and writes the tables and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", required=True, help="folder of pydensecrf's examples")
    parser.add_argument(
        "--compare",
        default="1,2,3",
        help="examples that the exact filter infers too, a minute each",
    )
    parser.add_argument("--lattice", default="125,250,500,1000,2000", help="sides of its images")
    parser.add_argument("--exact", default="32,64,128", help="likewise; empty leaves it out")
    parser.add_argument("--out", default="runs/crf", help="where to write")
    asked = parser.parse_args()
    folder, out = pathlib.Path(asked.examples), pathlib.Path(asked.out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    lines = [f"{runs.circumstances()}.", ""]
    lines += compare_examples(folder, out, asked.compare.split(","))
    for method, sides in (("lattice", asked.lattice), ("exact", asked.exact)):
        if sides:
            lines += ["", *cost(folder, method, list(map(int, sides.split(","))))]
    text = "\n".join(lines) + "\n"
    (out / "crf.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
