"""The whole way from pixels to a vector as an ONNX program, weights included."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ssljax import paths
from ssljax.errors import UserError, brief
from ssljax.export.stablehlo import example, write_preprocessing
from ssljax.export.subject import Subject

_PACKAGES = ("jax2onnx", "onnxruntime")
_TRIED = 3
"""Images, of noise, by which a program is compared with its original."""
_TOLERANCE = 1e-4


def write(subject: Subject, directory: paths.Path) -> str:
    """Writes `model.onnx`, of any batch size, and `preprocessing.json`.

    Before it is written the program is run by ONNX Runtime and compared with the network.

    Raises:
      UserError: If jax2onnx is not installed, or the network has an operation that it, or ONNX
        Runtime, does not know.
    """
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"config.export.format=onnx needs {package}: pip install 'ssljax[onnx]'."
            )
    images = subject.abstract_images()
    program = _converted(subject, images)
    count = images.shape[0] if isinstance(images.shape[0], int) else _TRIED
    _compare(program, subject.embed(), (count, *subject.image_shape))
    paths.write(directory / "model.onnx", program)
    write_preprocessing(subject, images.shape, directory)
    return (
        "```python\n"
        "import numpy as np, onnxruntime\n\n"
        'program = onnxruntime.InferenceSession("model.onnx")\n'
        f"images = np.zeros(({example(images.shape)}), np.uint8)\n"
        '(features,) = program.run(None, {"images": images})\n'
        "```"
    )


def _converted(subject: Subject, images: jax.ShapeDtypeStruct) -> bytes:
    import jax2onnx

    for talkative in ("onnx_ir", "jax2onnx"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    try:
        made: Any = jax2onnx.to_onnx(
            subject.embed(),
            inputs=[images],
            model_name="ssljax",
            input_names=["images"],
            output_names=["features"],
        )
    except UserError:
        raise
    except Exception as error:  # It has no error of its own.
        raise UserError(
            f"jax2onnx cannot express the network ({brief(error)}): set "
            "config.export.format=stablehlo."
        ) from error
    program: bytes = made.SerializeToString()
    return program


def _compare(program: bytes, embed: Callable[..., Any], image_shape: tuple[int, ...]) -> None:
    """Raises a `UserError` unless ONNX Runtime computes what the network does."""
    import onnxruntime

    images = np.random.default_rng(0).integers(0, 256, image_shape, np.uint8)
    wanted = np.asarray(jax.jit(embed)(images))
    try:
        session = onnxruntime.InferenceSession(program, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"images": images})
    except Exception as error:  # Likewise.
        raise UserError(
            f"ONNX Runtime cannot run the network ({brief(error)}): set "
            "config.export.format=stablehlo."
        ) from error
    apart = float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))
    if not apart < _TOLERANCE:
        raise UserError(
            f"The ONNX program is {apart:.1g} from the network, relative to its largest value: set "
            "config.export.format=stablehlo."
        )
