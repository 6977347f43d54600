"""The whole way from pixels to a vector as a StableHLO program, weights included."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp

from ssljax import paths
from ssljax.export.subject import Subject

PLATFORMS = ("cpu", "cuda", "tpu")


def write(subject: Subject, directory: paths.Path) -> str:
    """Writes `model.stablehlo`, of any batch size and for `PLATFORMS`, and `preprocessing.json`."""
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *subject.image_shape), jnp.uint8)
    exported = jax.export.export(jax.jit(subject.embed()), platforms=PLATFORMS)(images)
    paths.write(directory / "model.stablehlo", bytes(exported.serialize()))
    write_preprocessing(subject, directory)
    return (
        "```python\n"
        "import jax, numpy as np\n\n"
        'program = jax.export.deserialize(bytearray(open("model.stablehlo", "rb").read()))\n'
        f"images = np.zeros((5, {_size(subject)}), np.uint8)\n"
        "features = program.call(images)\n"
        "```"
    )


def write_preprocessing(subject: Subject, directory: paths.Path) -> None:
    """Writes what is to be done to images before the program, for other programs to read."""
    height, width, channels = subject.image_shape
    text = {
        "input": {"name": "images", "type": "uint8", "shape": ["batch", height, width, channels]},
        "order": "RGB" if channels == 3 else "as in training",
        "resize": subject.config.data.resize,
        "output": {"name": "features", "type": "float32", "stage": subject.stage},
        "inside": "the centre crop, resizing to the encoder's size, and normalisation",
        "outside": "decoding, and resizing to the input's size",
    }
    paths.write(directory / "preprocessing.json", json.dumps(text, indent=2) + "\n")


def _size(subject: Subject) -> str:
    return ", ".join(map(str, subject.image_shape))
