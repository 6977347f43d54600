"""The whole way from pixels to a vector as a StableHLO program, weights included."""

from __future__ import annotations

import json
from typing import Any

import jax

from ssljax import paths
from ssljax.export.subject import Subject, told

PLATFORMS = ("cpu", "cuda", "tpu")


def write(subject: Subject, directory: paths.Path) -> str:
    """Writes `model.stablehlo`, of any batch size and for `PLATFORMS`, and `preprocessing.json`."""
    images = subject.abstract_images()
    exported = jax.export.export(jax.jit(subject.embed()), platforms=PLATFORMS)(images)
    paths.write(directory / "model.stablehlo", bytes(exported.serialize()))
    write_preprocessing(subject, images.shape, directory)
    return (
        "```python\n"
        "import jax, numpy as np\n\n"
        'program = jax.export.deserialize(bytearray(open("model.stablehlo", "rb").read()))\n'
        f"images = np.zeros(({example(images.shape)}), np.uint8)\n"
        "features = program.call(images)\n"
        "```"
    )


def write_preprocessing(subject: Subject, shape: tuple[Any, ...], directory: paths.Path) -> None:
    """Writes what is to be done to images before the program, for other programs to read."""
    batch, height, width, channels = shape
    size = batch if isinstance(batch, int) else "batch"
    text = {
        "input": {"name": "images", "type": "uint8", "shape": [size, height, width, channels]},
        "order": "RGB" if channels == 3 else "as in training",
        "resize": subject.config.data.resize,
        "range": list(subject.config.data.range),
        "output": {"name": "features", "type": "float32", "stage": subject.stage},
        "inside": "the centre crop, resizing to the encoder's size, and normalisation",
        "outside": "decoding, and resizing to the input's size: " + " ".join(told(subject)),
    }
    paths.write(directory / "preprocessing.json", json.dumps(text, indent=2) + "\n")


def example(shape: tuple[Any, ...]) -> str:
    """A shape of images, as numbers with commas."""
    batch, *rest = shape
    return ", ".join(map(str, (batch if isinstance(batch, int) else 5, *rest)))
