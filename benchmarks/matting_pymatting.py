"""Closed-form matting by pymatting, for `benchmarks.matting`, in an environment that has it.

    PYTHON benchmarks/matting_pymatting.py IMAGE TRIMAP OUT

Reads the image and the trimap, takes the time of the opacity and of the layers, writes all three as
an NPZ file, and prints the costs as one line of JSON.
"""

import json
import pathlib
import sys
import time

import numpy as np


def peak_memory() -> float:
    """The most memory that was resident so far, in MB; of Linux alone."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return float(line.split()[1]) * 1024 / 1e6


def main() -> None:
    """Measures and writes."""
    import pymatting

    image_path, trimap_path, out = sys.argv[1:]
    image = pymatting.load_image(image_path, "RGB")
    trimap = pymatting.load_image(trimap_path, "GRAY")
    before = peak_memory()
    start, start_cpu = time.perf_counter(), time.process_time()
    alpha = pymatting.estimate_alpha_cf(image, trimap)
    middle, middle_cpu = time.perf_counter(), time.process_time()
    at_alpha = peak_memory()
    layers = pymatting.estimate_foreground_ml(image, alpha, return_background=True)
    end, end_cpu = time.perf_counter(), time.process_time()
    costs = {
        "alpha": middle - start,
        "layers": end - middle,
        "alpha, CPU": middle_cpu - start_cpu,
        "layers, CPU": end_cpu - middle_cpu,
        "before": before,
        "peak of alpha": at_alpha,
        "peak": peak_memory(),
    }
    np.savez(out, alpha=alpha, foreground=layers[0], background=layers[1])
    print(json.dumps(costs))


if __name__ == "__main__":
    main()
