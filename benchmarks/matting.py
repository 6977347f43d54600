"""Is our closed-form matting that of pymatting, and what does either cost?

    python -m benchmarks.matting --examples DIR --pymatting PYTHON [--widths 680,1244]

The directory holds pymatting's example: `lemur.png`, `lemur_trimap.png`, `lemur_alpha.png` and
`lemur_foreground.png`. PYTHON is the Python of an environment with pymatting. For each width the
image is brought to that size, and each library estimates opacity and layers of the same files, in a
process of its own, one after the other. At the image's own size both are compared with the
references; sums of absolute differences are over all pixels, mean squares over the unknown ones.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import measured, runs
from ssljax.ops.matting import estimate_alpha, estimate_layers
from ssljax.ops.matting_laplacian import laplacian_product, whitened_windows
from ssljax.report.pictures import beside, encode_png
from ssljax.tools.images import read_image, write_image
from ssljax.tools.matting import read_trimap

_WHITE, _PRODUCTS = 255, 10
_GREEN = (40, 180, 70)


def ours(image_path: str, trimap_path: str, out: str) -> None:
    """Does what `matting_pymatting.py` does, by this library."""
    image = read_image(image_path, 3) / _WHITE
    foreground, background = read_trimap(read_image(trimap_path, 1), trimap_path)
    steps = 0

    def count(iteration: int, _: float) -> None:
        nonlocal steps
        steps = iteration

    before = measured.peak_memory()
    start, start_cpu = time.perf_counter(), time.process_time()
    alpha = estimate_alpha(image, foreground, background, progress=count)
    middle, middle_cpu = time.perf_counter(), time.process_time()
    at_alpha = measured.peak_memory()
    layers = estimate_layers(image, alpha)
    end, end_cpu = time.perf_counter(), time.process_time()
    costs = {
        "alpha": middle - start,
        "layers": end - middle,
        "alpha, CPU": middle_cpu - start_cpu,
        "layers, CPU": end_cpu - middle_cpu,
        "before": before,
        "peak of alpha": at_alpha,
        "peak": measured.peak_memory(),
        "iterations": steps,
    }
    np.savez(out, alpha=alpha, foreground=layers[0], background=layers[1])
    print(json.dumps(costs))


def resized(folder: pathlib.Path, out: pathlib.Path, width: int) -> tuple[pathlib.Path, ...]:
    """Writes image and trimap at a width, and returns their paths."""
    image = read_image(str(folder / "lemur.png"), 3)
    trimap = read_image(str(folder / "lemur_trimap.png"), 1)
    if width != image.shape[1]:
        size = (width, round(image.shape[0] * width / image.shape[1]))
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        trimap = cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)[..., None]
    paths = out / f"image{width}.png", out / f"trimap{width}.png"
    for path, pixels in zip(paths, (image, trimap), strict=True):
        write_image(str(path), pixels)
    return paths


def errors(alpha: np.ndarray, reference: np.ndarray, unknown: np.ndarray) -> str:
    """Sum of absolute differences, and mean square over the unknown pixels."""
    off = alpha - reference
    return f"{np.abs(off).sum():.1f} | {np.mean(off[unknown] ** 2):.2e} | {np.abs(off).max():.1e}"


def compare(
    folder: pathlib.Path, out: pathlib.Path, theirs: str, width: int
) -> tuple[list[str], list[str]]:
    """Runs both at one width, and writes a picture of ours.

    Returns:
      The rows of the table, and what else is to be said.
    """
    image, trimap = resized(folder, out, width)
    pixels = read_image(str(trimap), 1)[..., 0]
    foreground, background = read_trimap(pixels[..., None], "the trimap")
    unknown = ~foreground & ~background
    programs = {
        "ours": [sys.executable, "-m", "benchmarks.matting", "--ours"],
        "pymatting": [theirs, str(pathlib.Path(__file__).parent / "matting_pymatting.py")],
    }
    rows, found = [], {}
    for name, program in programs.items():
        kept = out / f"{name}{width}.npz"
        command = [*program, str(image), str(trimap), str(kept)]
        told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=runs.ROOT)
        costs = json.loads(told.stdout.splitlines()[-1])
        with np.load(kept) as arrays:
            found[name] = dict(arrays)
        rows.append(
            f"| {pixels.shape[1]} x {pixels.shape[0]} | {unknown.sum():,} | {name} | "
            f"{costs['alpha, CPU']:.2f} | {costs['alpha']:.2f} | {costs.get('iterations', '')} | "
            f"{costs['layers, CPU']:.2f} | {costs['layers']:.2f} | "
            f"{costs['before']:.0f} | {costs['peak of alpha']:.0f} | {costs['peak']:.0f} |"
        )
        print(rows[-1], flush=True)
    mine, other = found["ours"], found["pymatting"]
    seen = np.abs(mine["foreground"] - other["foreground"])[mine["alpha"] > 0]
    remarks = [
        f"Ours against pymatting's, {width} wide: opacity, sum | mean square | largest: "
        f"{errors(mine['alpha'], other['alpha'], unknown)}; colour of the foreground where there "
        f"is some, mean {seen.mean():.4f}.",
    ]
    if pixels.shape == read_image(str(folder / "lemur.png"), 1).shape[:2]:
        reference = read_image(str(folder / "lemur_alpha.png"), 1)[..., 0] / _WHITE
        color = read_image(str(folder / "lemur_foreground.png"), 3) / _WHITE
        for name, arrays in found.items():
            off = np.abs(arrays["foreground"] - color)[reference > 0].mean()
            remarks.append(
                f"{name} against the references: opacity, sum | mean square | largest: "
                f"{errors(arrays['alpha'], reference, unknown)}; foreground, mean {off:.4f}."
            )
    write_picture(out / f"lemur{width}.png", mine)
    remarks.append(f"The product on the device, {width} wide: {product_cost(image)}.")
    return rows, remarks


def product_cost(image_path: pathlib.Path) -> str:
    """What the Laplacian's product without a matrix takes."""
    start = time.process_time()
    windows = jnp.asarray(whitened_windows(read_image(str(image_path), 3) / _WHITE))
    middle = time.process_time()
    layer = jnp.ones((windows.shape[2] + 2, windows.shape[3] + 2))
    product = jax.jit(laplacian_product)
    product(windows, layer).block_until_ready()
    times = []
    for _ in range(_PRODUCTS):
        begin = time.process_time()
        product(windows, layer).block_until_ready()
        times.append(time.process_time() - begin)
    return (
        f"windows {middle - start:.2f} CPU s and {windows.nbytes / 1e6:.0f} MB, then "
        f"{1e3 * statistics.median(times):.0f} CPU ms each"
    )


def write_picture(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """Opacity, foreground and background, and the foreground on green."""
    alpha = arrays["alpha"][..., None]
    mixed = alpha * arrays["foreground"] + (1 - alpha) * np.array(_GREEN) / _WHITE
    parts = [np.repeat(alpha, 3, axis=2), arrays["foreground"], arrays["background"], mixed]
    path.write_bytes(encode_png(beside([np.rint(_WHITE * x).astype(np.uint8) for x in parts])))


def main() -> None:
    """Measures, and writes the tables and the pictures."""
    if sys.argv[1:2] == ["--ours"]:
        ours(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", required=True, help="folder of pymatting's lemur")
    parser.add_argument("--pymatting", required=True, help="a Python that has pymatting")
    parser.add_argument("--widths", default="680,1244", help="widths of the image")
    parser.add_argument("--out", default="runs/matting", help="where to write")
    asked = parser.parse_args()
    folder, out = pathlib.Path(asked.examples), pathlib.Path(asked.out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{runs.circumstances()}.",
        "",
        "| pixels | unknown | library | opacity (CPU s) | (s) | iterations | layers (CPU s) | (s) "
        "| memory before (MB) | with opacity | with layers |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    remarks = [""]
    for width in map(int, asked.widths.split(",")):
        rows, more = compare(folder, out, asked.pymatting, width)
        lines += rows
        remarks += more
    text = "\n".join(lines + remarks) + "\n"
    (out / "matting.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
